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

// Clients selects clients. A client matches if it meets at least one of the
// conditions and does not match Except. The zero value matches no client.
type Clients struct {
	// Everyone matches all clients. To exclude some clients, set Except.
	Everyone bool
	// Anonymous matches clients that have not authenticated.
	Anonymous bool
	// Authenticated matches clients that have authenticated.
	Authenticated bool
	// Identities matches clients that have authenticated as one of these
	// identities. Upper and lower case are equal.
	Identities []string
	// Networks matches clients with an address in one of these networks.
	Networks []netip.Prefix
	// Hosts matches clients by confirmed host name: reverse DNS gives the name
	// for the address, and the name has that address. A name is exact
	// ("mx.example.net") or a pattern ("*.example.net") for all names below
	// the domain.
	Hosts []string
	// CertificateKeys matches clients with a TLS client certificate for one of
	// these keys. A key is the SHA-256 of the SubjectPublicKeyInfo, in
	// hexadecimal, with or without colons. The issuer of the certificate does
	// not matter.
	CertificateKeys []string
	// CertificateNames matches clients with a TLS client certificate that the
	// server has verified (tls.Config.ClientCAs and ClientAuth) and that
	// contains one of these names. A name is a DNS name, a pattern as in
	// Hosts, or a mail address.
	CertificateNames []string
	// Except excludes clients. If a proxy did not give the address of a
	// client, and Except has Networks or Hosts, the client is excluded too,
	// because it may be one of them.
	Except *Clients
}

// clients is the prepared form of Clients.
type clients struct {
	everyone, anonymous, authenticated bool

	identities map[string]bool
	networks   *Networks
	hosts      []string
	keys       map[[sha256.Size]byte]bool
	certNames  []string
	except     *clients
}

// prepare checks the settings. It leaves wrong entries out, so that the result
// never matches more clients than intended. After an error in Except the
// result matches no client.
func (c *Clients) prepare() (*clients, []error) {
	p := &clients{everyone: c.Everyone, anonymous: c.Anonymous, authenticated: c.Authenticated,
		identities: make(map[string]bool), keys: make(map[[sha256.Size]byte]bool)}
	var errs []error
	for _, id := range c.Identities {
		if id == "" {
			errs = append(errs, errors.New("policy: Clients.Identities has an empty identity"))
			continue
		}
		p.identities[addr.FoldLocal(id)] = true
	}
	var err error
	if p.networks, err = NewNetworks(c.Networks...); err != nil {
		err = fmt.Errorf("policy: Networks: %w", err)
		errs = append(errs, err)
	}
	p.hosts, errs = patterns("Clients.Hosts", c.Hosts, errs)
	for _, k := range c.CertificateKeys {
		b, err := hex.DecodeString(strings.ReplaceAll(k, ":", ""))
		if err != nil || len(b) != sha256.Size {
			errs = append(errs, fmt.Errorf("policy: Clients.CertificateKeys: %q is not a SHA-256 in hexadecimal", k))
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

// patterns returns names and patterns ("*.name") in canonical form.
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

// client is the client that is matched against the conditions.
type client struct {
	ctx      context.Context
	s        *smtpserver.Session
	ip       netip.Addr
	resolver Resolver
}

// has reports whether the client matches. After an error it returns false,
// although the client may match.
func (p *clients) has(c *client) (bool, error) {
	in, err := p.meets(c)
	if !in || p.except == nil {
		return in, err
	}
	if p.except.byAddress() && unknownAddress(c.s) {
		return false, nil // the client may be one of the excluded
	}
	out, err := p.except.has(c)
	return !out && err == nil, err
}

// byAddress reports whether the match depends on the address of the client.
func (p *clients) byAddress() bool {
	return p.networks.Len() > 0 || len(p.hosts) > 0 || p.except != nil && p.except.byAddress()
}

func (p *clients) meets(c *client) (bool, error) {
	id := c.s.Identity()
	switch {
	case p.everyone, p.anonymous && id == "", id != "" && (p.authenticated || p.identities[addr.FoldLocal(id)]), p.networks.Contains(c.ip):
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

// certified reports whether the client has shown a certificate that matches.
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

// countedIP returns the address by which a client is counted and remembered:
// its own, or 0.0.0.0 for all clients whose address a proxy did not give.
// Those clients are counted together, as one client. The result is false for a
// client that does not use a network.
func countedIP(s *smtpserver.Session) (netip.Addr, bool) {
	ip, ok := clientIP(s)
	if !ok && unknownAddress(s) {
		return netip.IPv4Unspecified(), true
	}
	return ip, ok
}

// unknownAddress reports whether a proxy did not give the address of the
// client.
func unknownAddress(s *smtpserver.Session) bool {
	a := s.RemoteAddr()
	return a != nil && a.Network() == "unknown"
}

// clientIP returns the address of the client, and whether it has one. An IPv4
// address is in its own form; there is no zone.
func clientIP(s *smtpserver.Session) (netip.Addr, bool) {
	ip := transaction.ClientIP(s)
	return ip, ip.IsValid()
}
