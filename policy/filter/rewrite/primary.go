package rewrite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A PrimarySource knows the primary addresses of mailboxes. It must be safe for
// concurrent use and must limit its own time. *ldap.Primary in policy/ldap implements it.
type PrimarySource interface {
	// Primary returns the primary address of the mailbox that has the address, or
	// "" if no mailbox has it. The error means that the source cannot answer at
	// present, or wraps policy.ErrAmbiguous.
	Primary(ctx context.Context, address string) (string, error)
}

// Primary replaces the addresses of senders by the primary addresses of their
// mailboxes, in the same places as Outbound. So replies go to the primary address,
// also if the user's mail program has written another one. Recipients do not change: mail
// for any address of a mailbox is delivered as it is.
//
// If the source cannot answer, the message is deferred (451 4.3.0), because it would
// leave with the wrong address. An address that several mailboxes have does not
// change. In a message without SMTPUTF8, an address whose primary address needs SMTPUTF8
// does not change either.
type Primary struct {
	// Source finds the primary addresses. It must be set.
	Source PrimarySource
	// Domains are the domains whose addresses are looked up, each with its
	// subdomains. It must not be empty.
	Domains []string
	// MaxLookups limits the different addresses of Domains in the sender fields of
	// one message. A message with more is refused (550 5.5.3). Default 20.
	MaxLookups int
	// When reports whether a message is rewritten. If it is nil, all messages
	// that the server accepts are rewritten.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

const maxPrimaryLookups = 20

var errPrimary = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0},
	Message: "The primary address of the sender cannot be looked up at present, try again later"}

var errManySenders = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 5, 3}, Message: "The sender fields have too many addresses"}

// Validate returns an error that names the first setting that is wrong.
func (p *Primary) Validate() error {
	switch {
	case p.Source == nil:
		return errors.New("rewrite: Primary.Source is not set")
	case p.MaxLookups < 0:
		return fmt.Errorf("rewrite: Primary.MaxLookups is negative (%d)", p.MaxLookups)
	case len(p.Domains) == 0:
		return errors.New("rewrite: Primary.Domains is empty")
	}
	for _, d := range p.Domains {
		if _, isAddress, err := canonical(d); err != nil || isAddress {
			return fmt.Errorf("rewrite: Primary.Domains: %q is not a domain", d)
		}
	}
	if v, is := p.Source.(interface{ Validate() error }); is {
		return v.Validate()
	}
	return nil
}

// Agent returns an agent that rewrites addresses at the end of data. If the
// From field of a message cannot be parsed, the agent refuses the message with
// 550 5.6.0.
func (p *Primary) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "primary addresses", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if p.When != nil && !p.When(s, m) {
			return nil
		}
		if err := checkFrom(&m.Header); err != nil {
			return err
		}
		known, err := p.lookUp(ctx, m)
		if err != nil || len(known) == 0 {
			return err
		}
		return senders(m, func(address string) (string, bool) {
			to, ok := known[address]
			return to, ok
		})
	}}
}

// lookUp returns the primary addresses of the senders that change.
func (p *Primary) lookUp(ctx context.Context, m *smtpserver.Message) (map[string]string, error) {
	seen := make(map[string]bool)
	collect := rewriter(func(address string) (string, bool) {
		if p.covers(address) {
			seen[address] = true
		}
		return "", false
	})
	collect(m.From)
	if err := collect.fields(&m.Header, senderFields); err != nil {
		return nil, err
	}
	most := p.MaxLookups
	if most == 0 {
		most = maxPrimaryLookups
	}
	if len(seen) > most {
		return nil, errManySenders
	}
	known := make(map[string]string)
	for address := range seen {
		to, err := p.Source.Primary(ctx, address)
		switch {
		case errors.Is(err, policy.ErrAmbiguous), err == nil && to == "":
			continue
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errPrimary, err)
		}
		if err := addr.Mailbox(to, true); err != nil {
			return nil, fmt.Errorf("%w: the primary address of %s: %w", errPrimary, address, err)
		}
		if !strings.EqualFold(to, address) && addr.Mailbox(to, m.Options.UTF8) == nil {
			known[address] = to
		}
	}
	return known, nil
}

// covers reports whether an address is in Domains.
func (p *Primary) covers(address string) bool {
	_, domain, ok := split(address)
	for ; ok; _, domain, ok = strings.Cut(domain, ".") {
		for _, own := range p.Domains {
			if domain == addr.FoldDomain(own) {
				return true
			}
		}
	}
	return false
}
