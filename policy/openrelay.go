package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Validate returns an error that names each wrong setting, including each one
// that would make an open relay. Gate.Install calls it, so a server with such
// settings does not start.
func (r *Relay) Validate() error {
	_, err := r.prepare()
	return errors.Join(err, r.wideDomains())
}

// wide returns an error for each reason why a grant would make an open relay.
func (r *Relay) wide(g *Grant) []error {
	if g.Rights&AcceptAnyRecipient == 0 || r.DangerouslyRelayForEveryone {
		return nil
	}
	return wideClients(&g.To)
}

func wideClients(c *Clients) (errs []error) {
	open := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("policy: "+format+": that would be an open relay", args...))
	}
	switch {
	case c.Everyone && c.Except != nil:
		open("accept-any-recipient for everyone except a list")
	case c.Everyone:
		open("accept-any-recipient for everyone")
	case c.Anonymous:
		open("accept-any-recipient for all anonymous clients")
	}
	wideNetworks(c.Networks, open)
	for _, h := range c.Hosts {
		if strangersBelow(h) {
			open("relay host %q matches all names below a public suffix", h)
		}
	}
	for _, n := range c.CertificateNames {
		if strangersBelow(n) {
			open("relay certificate name %q matches all names below a public suffix", n)
		}
	}
	return errs
}

// suffix reports whether a pattern such as "*.com" or "*.github.io" matches
// all names below a public suffix. icann reports whether anyone can register
// such a name; otherwise the owner of the suffix assigns them, for example
// with an account or a rented machine.
func suffix(pattern string) (is, icann bool) {
	below, ok := strings.CutPrefix(pattern, "*.")
	if !ok {
		return false, false
	}
	if c, err := addr.Domain(below); err == nil {
		below = c
	}
	s, icann := publicsuffix.PublicSuffix(below)
	icann = icann || !strings.Contains(below, ".")
	// Below some, such as compute.amazonaws.com, each name is itself a suffix.
	under, _ := publicsuffix.PublicSuffix("x." + below)
	return s == below || under == "x."+below, icann
}

// strangersBelow reports whether strangers can have names that match the
// pattern.
func strangersBelow(pattern string) bool {
	is, _ := suffix(pattern)
	return is
}

// wideClaims returns an error for each front end network that is too wide: a
// host that may claim any client address may claim one that can relay.
func (r *Relay) wideClaims(srv *smtpserver.Server) error {
	if r.DangerouslyRelayForEveryone {
		return nil
	}
	var errs []error
	for setting, prefixes := range map[string][]netip.Prefix{"XClientFrom": srv.XClientFrom, "ProxyFrom": srv.ProxyFrom} {
		for _, p := range prefixes {
			if p.IsValid() && tooWide(p) {
				errs = append(errs, fmt.Errorf("policy: the server's %s %v lets a large part of the internet claim any address: that would be an open relay", setting, p))
			}
		}
	}
	return errors.Join(errs...)
}

// wideDomains returns an error for each accepted domain that contains domains
// of strangers. A pattern whose Directory lists all recipients is allowed.
func (r *Relay) wideDomains() error {
	if r.Domains == nil || r.DangerouslyRelayForEveryone {
		return nil
	}
	var errs []error
	for _, d := range r.Domains.below {
		if registrable(d.Name) && !d.closed() {
			errs = append(errs, fmt.Errorf("policy: accepted domain %q matches all domains below a public suffix, and no Directory lists all of its recipients: that would be an open relay", d.Name))
		}
	}
	return errors.Join(errs...)
}

// registrable reports whether anyone can register a domain that matches the
// pattern.
func registrable(pattern string) bool {
	is, icann := suffix(pattern)
	return is && icann
}

// closed reports whether mail for the domain goes only to recipients that a
// directory lists, and to the CatchAll.
func (d *Domain) closed() bool {
	return d.Directory != nil && (d.Kind == Authoritative || d.Kind == InternalRelay && d.CatchAll != "")
}
