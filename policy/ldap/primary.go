package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// Primary finds the primary addresses of mailboxes. It is a rewrite.PrimarySource: with
// it, outgoing mail has the primary address of its sender, also if the sender has used
// another address of the mailbox.
//
//	primary := &rewrite.Primary{Source: &ldap.Primary{Directory: users}, Domains: []string{"example.com"}}
//	gate.Outbound = append(gate.Outbound, primary.Agent())
//
// The primary address of an entry is the value of ProxyAddresses that begins with
// "SMTP:" in upper case, as in Active Directory. An entry without such a value has the
// first value of Mail.
//
// Answers are kept for TTL. After that, a server must answer: an older answer is never
// used. It is safe for concurrent use; its fields must not change after the first use.
type Primary struct {
	// Directory has the servers, the login and the search. If an address has several
	// entries, it has no primary address, also if AllowSeveral is set.
	Directory *Directory
	// ProxyAddresses and Mail are the names of attributes. Defaults: proxyAddresses,
	// mail.
	ProxyAddresses, Mail string
	// TTL is the time for which an answer is kept. Default 10 minutes; a negative value
	// keeps no answers.
	TTL time.Duration
	// MaxCached is the maximum number of answers that are kept. Default 100,000.
	MaxCached int

	known cache[string]
}

// Validate returns an error if a setting is invalid. It does not connect to a server.
func (p *Primary) Validate() error {
	switch {
	case p.Directory == nil:
		return errors.New("ldap: Primary.Directory is not set")
	case p.MaxCached < 0:
		return fmt.Errorf("ldap: Primary.MaxCached is negative (%d)", p.MaxCached)
	}
	for _, name := range []string{p.proxyAddresses(), p.mail()} {
		if strings.ContainsAny(name, " ;=*()\x00") {
			return fmt.Errorf("ldap: Primary: %q is not the name of an attribute", name)
		}
	}
	return p.Directory.Validate()
}

func (p *Primary) proxyAddresses() string { return orOne(p.ProxyAddresses, "proxyAddresses") }
func (p *Primary) mail() string           { return orOne(p.Mail, "mail") }

// Primary implements rewrite.PrimarySource. The error wraps policy.ErrAmbiguous if
// several entries have the address. With any other error, no server has answered.
func (p *Primary) Primary(ctx context.Context, address string) (string, error) {
	if p.Directory == nil {
		return "", errors.New("ldap: Primary.Directory is not set")
	}
	key := keyOf(address)
	if a, ok := p.known.get(key); ok {
		return a.value, a.err
	}
	var primary string
	err := p.Directory.with(ctx, func(ctx context.Context, c *ldap.Conn) (err error) {
		primary, err = p.search(ctx, c, address)
		return err
	})
	if !isAnswer(err) {
		return "", err
	}
	p.known.put(key, primary, err, p.TTL, p.MaxCached)
	return primary, err
}

// search returns the primary address of the entry that has the address.
func (p *Primary) search(ctx context.Context, c *ldap.Conn, address string) (string, error) {
	e, err := p.Directory.entry(ctx, c, address, []string{p.proxyAddresses(), p.mail()})
	if e == nil {
		return "", err
	}
	return primaryOf(e.GetEqualFoldAttributeValues(p.proxyAddresses()), e.GetEqualFoldAttributeValues(p.mail())), nil
}

// primaryOf returns the primary address among the values of attributes, or "".
func primaryOf(proxies, mails []string) string {
	for _, v := range proxies {
		if to, is := strings.CutPrefix(v, "SMTP:"); is && addr.Mailbox(to, true) == nil {
			return to
		}
	}
	for _, to := range addresses(mails) {
		if addr.Mailbox(to, true) == nil {
			return to
		}
	}
	return ""
}

// keyOf returns the key of an address in a cache.
func keyOf(address string) string {
	local, _ := addr.Split(address)
	return local + "@" + addr.DomainOf(address)
}
