package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Clients describes a class of clients. A client belongs to it that meets one
// of the conditions, unless it belongs to Except. The zero value is nobody.
type Clients struct {
	// Everyone: all clients. With Except it is "all except the list".
	Everyone bool
	// Anonymous: those that have not proved who they are.
	Anonymous bool
	// Authenticated: those that have.
	Authenticated bool
	// Identities are those that have proved to be one of these, to the letter.
	Identities []string
	// Networks are those with an address in one of these.
	Networks []netip.Prefix
	// Hosts are those whose address has, by reverse DNS, such a name, which
	// has the address in turn: "mx.example.net", or "*.example.net" for all
	// below it.
	Hosts []string
	// CertificateKeys are those with a TLS client certificate for one of
	// these keys: the SHA-256 of the SubjectPublicKeyInfo, in hexadecimal,
	// with or without colons. Who issued the certificate does not matter.
	CertificateKeys []string
	// CertificateNames are those with a TLS client certificate that the
	// server has verified (tls.Config.ClientCAs and ClientAuth) and that is
	// for one of these DNS names, patterns as above, or mail addresses.
	CertificateNames []string
	// Except takes clients out again. A client of which a proxy gives no address
	// is out where Except has Networks or Hosts: it may be one of them.
	Except *Clients
}

// clients is a Clients, prepared.
type clients struct {
	everyone, anonymous, authenticated bool

	identities map[string]bool
	networks   *Networks
	hosts      []string
	keys       map[[sha256.Size]byte]bool
	certNames  []string
	except     *clients
}

// prepare checks the settings. What is wrong is left out of the class, so
// that it never holds more clients than was meant; a fault in Except empties
// the whole.
func (c *Clients) prepare() (*clients, []error) {
	p := &clients{everyone: c.Everyone, anonymous: c.Anonymous, authenticated: c.Authenticated,
		identities: make(map[string]bool), keys: make(map[[sha256.Size]byte]bool)}
	var errs []error
	for _, id := range c.Identities {
		if id == "" {
			errs = append(errs, errors.New("policy: empty identity in Clients.Identities"))
			continue
		}
		p.identities[id] = true
	}
	var err error
	if p.networks, err = NewNetworks(c.Networks...); err != nil {
		errs = append(errs, err)
	}
	p.hosts, errs = patterns("Clients.Hosts", c.Hosts, errs)
	for _, k := range c.CertificateKeys {
		b, err := hex.DecodeString(strings.ReplaceAll(k, ":", ""))
		if err != nil || len(b) != sha256.Size {
			errs = append(errs, fmt.Errorf("policy: Clients.CertificateKeys: %q is no SHA-256 in hexadecimal", k))
			continue
		}
		p.keys[[sha256.Size]byte(b)] = true
	}
	for _, n := range c.CertificateNames {
		if strings.Contains(n, "@") {
			p.certNames = append(p.certNames, fold(n))
			continue
		}
		var one []string
		one, errs = patterns("Clients.CertificateNames", []string{n}, errs)
		p.certNames = append(p.certNames, one...)
	}
	if c.Except != nil {
		except, wrong := c.Except.prepare()
		if len(wrong) > 0 {
			return new(clients), append(errs, wrong...)
		}
		p.except = except
	}
	return p, errs
}

// patterns are names and "*.name"s in canonical form.
func patterns(setting string, names []string, errs []error) ([]string, []error) {
	var ps []string
	for _, n := range names {
		rest, wild := strings.CutPrefix(n, "*.")
		c, err := addr.HostName(rest)
		if err != nil {
			errs = append(errs, fmt.Errorf("policy: %s: %q is neither a domain name nor *.domain", setting, n))
			continue
		}
		if wild {
			c = "*." + c
		}
		ps = append(ps, c)
	}
	return ps, errs
}

// client is who is judged.
type client struct {
	ctx      context.Context
	s        *smtpserver.Session
	ip       netip.Addr
	resolver Resolver
}

// has says whether the client belongs to the class. With an error it does not,
// but perhaps it should.
func (p *clients) has(c *client) (bool, error) {
	in, err := p.meets(c)
	if !in || p.except == nil {
		return in, err
	}
	if p.except.byAddress() && unknownAddress(c.s) {
		return false, nil // perhaps it is one of those
	}
	out, err := p.except.has(c)
	return !out && err == nil, err
}

// byAddress says whether it depends on a client's address who is in the class.
func (p *clients) byAddress() bool {
	return p.networks.Len() > 0 || len(p.hosts) > 0 || p.except != nil && p.except.byAddress()
}

func (p *clients) meets(c *client) (bool, error) {
	id := c.s.Identity()
	switch {
	case p.everyone, p.anonymous && id == "", id != "" && (p.authenticated || p.identities[id]), p.networks.Contains(c.ip):
		return true, nil
	case p.certified(c.s):
		return true, nil
	case len(p.hosts) == 0 || !c.ip.IsValid():
		return false, nil
	}
	list, err := hostNames(c.ctx, c.s, c.resolver, c.ip)
	if matchAny(p.hosts, list) {
		return true, nil
	}
	return false, err
}

// certified says whether the client has shown a certificate of the class.
func (p *clients) certified(s *smtpserver.Session) bool {
	state := s.TLS()
	if state == nil || len(state.PeerCertificates) == 0 || len(p.keys)+len(p.certNames) == 0 {
		return false
	}
	cert := state.PeerCertificates[0]
	if p.keys[sha256.Sum256(cert.RawSubjectPublicKeyInfo)] {
		return true
	}
	if len(state.VerifiedChains) == 0 {
		return false
	}
	for _, pattern := range p.certNames {
		for _, name := range cert.DNSNames {
			if matchDomain(pattern, addr.FoldDomain(name)) {
				return true
			}
		}
		for _, address := range cert.EmailAddresses {
			if pattern == fold(address) {
				return true
			}
		}
	}
	return false
}

// countedIP is the address by which a client is counted and remembered: its own,
// or 0.0.0.0 for all clients of which a proxy gives no address. They are
// strangers like others, and one client together. False is for clients that
// come by no network at all.
func countedIP(s *smtpserver.Session) (netip.Addr, bool) {
	ip, ok := clientIP(s)
	if !ok && unknownAddress(s) {
		return netip.IPv4Unspecified(), true
	}
	return ip, ok
}

// unknownAddress says whether a proxy gave no address of the client.
func unknownAddress(s *smtpserver.Session) bool {
	a := s.RemoteAddr()
	return a != nil && a.Network() == "unknown"
}

// clientIP returns the client's address, and whether it has one.
func clientIP(s *smtpserver.Session) (netip.Addr, bool) {
	ip := transaction.ClientIP(s)
	return ip, ip.IsValid()
}
