package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Validate tells what is wrong with the settings, naming it, and above all
// which of them would relay for the world. Gate.Install calls it, so that a
// server with such settings does not start.
func (r *Relay) Validate() error {
	_, err := r.prepare()
	return errors.Join(err, r.wideDomains())
}

// wide says in which way a grant relays for the world.
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
	var total uint64 // overlaps are counted twice: nobody lists the same 16 million addresses again and again
	for _, p := range c.Networks {
		if !p.IsValid() {
			continue // an error of its own
		}
		q := unmapPrefix(p)
		if tooWide(q) {
			open("relay network %v holds a large part of the internet", p)
			continue
		}
		if q.Addr().Is4() {
			total += 1 << (32 - q.Bits())
		}
	}
	if total > widestTotal {
		open("relay networks hold %d addresses of IPv4 together, a large part of the internet", total)
	}
	for _, h := range c.Hosts {
		if suffix(h) {
			open("relay host %q stands for all names below a public suffix", h)
		}
	}
	for _, n := range c.CertificateNames {
		if suffix(n) {
			open("relay certificate name %q stands for all names below a public suffix", n)
		}
	}
	return errs
}

// widestTotal bounds all IPv4 networks together: 2^28 addresses, sixteen
// times the widest one.
const widestTotal = 1 << 28

// tooWide tells a network that no organisation has.
func tooWide(p netip.Prefix) bool {
	return p.Addr().Is4() && p.Bits() < 8 || !p.Addr().Is4() && p.Bits() < 16
}

// suffix tells a pattern like "*.com" or "*.co.uk", under which everybody can
// have a name.
func suffix(pattern string) bool {
	below, ok := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(pattern, ".")), "*.")
	if !ok {
		return false
	}
	s, icann := publicsuffix.PublicSuffix(below)
	return s == below && (icann || !strings.Contains(below, "."))
}

// wideClaims tells front ends that could be anybody: whoever may claim an
// address may claim one that relays.
func (r *Relay) wideClaims(srv *smtpserver.Server) error {
	if r.DangerouslyRelayForEveryone {
		return nil
	}
	var errs []error
	for setting, prefixes := range map[string][]netip.Prefix{"XClientFrom": srv.XClientFrom, "ProxyFrom": srv.ProxyFrom} {
		for _, p := range prefixes {
			if p.IsValid() && tooWide(unmapPrefix(p)) {
				errs = append(errs, fmt.Errorf("policy: the server's %s %v lets a large part of the internet claim any address: that would be an open relay", setting, p))
			}
		}
	}
	return errors.Join(errs...)
}

// wideDomains tells accepted domains that are half the world.
func (r *Relay) wideDomains() error {
	if r.Domains == nil || r.DangerouslyRelayForEveryone {
		return nil
	}
	var errs []error
	for _, d := range r.Domains.below {
		if suffix(d.Name) && d.Directory == nil {
			errs = append(errs, fmt.Errorf("policy: accepted domain %q stands for all domains below a public suffix: that would be an open relay", d.Name))
		}
	}
	return errors.Join(errs...)
}
