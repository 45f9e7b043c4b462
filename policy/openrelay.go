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
	wideNetworks(c.Networks, open)
	for _, h := range c.Hosts {
		if anybodys(h) {
			open("relay host %q stands for all names below a public suffix", h)
		}
	}
	for _, n := range c.CertificateNames {
		if anybodys(n) {
			open("relay certificate name %q stands for all names below a public suffix", n)
		}
	}
	return errs
}

// suffix finds what a pattern like "*.com" or "*.github.io" stands for: all
// names below a public suffix. icann says that everybody can register one
// there; otherwise they are given out by the suffix's owner, with an account
// or a rented machine.
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
	// Of some, as compute.amazonaws.com, each name below is a suffix itself.
	under, _ := publicsuffix.PublicSuffix("x." + below)
	return s == below || under == "x."+below, icann
}

// anybodys tells a pattern below which strangers have names.
func anybodys(pattern string) bool {
	is, _ := suffix(pattern)
	return is
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
			if p.IsValid() && tooWide(p) {
				errs = append(errs, fmt.Errorf("policy: the server's %s %v lets a large part of the internet claim any address: that would be an open relay", setting, p))
			}
		}
	}
	return errors.Join(errs...)
}

// wideDomains tells accepted domains that are half the world. What a directory
// knows all recipients of may have any name.
func (r *Relay) wideDomains() error {
	if r.Domains == nil || r.DangerouslyRelayForEveryone {
		return nil
	}
	var errs []error
	for _, d := range r.Domains.below {
		if registrable(d.Name) && !d.closed() {
			errs = append(errs, fmt.Errorf("policy: accepted domain %q stands for all domains below a public suffix, and no Directory knows all of its recipients: that would be an open relay", d.Name))
		}
	}
	return errors.Join(errs...)
}

// registrable tells a pattern below which everybody can register a domain.
func registrable(pattern string) bool {
	is, icann := suffix(pattern)
	return is && icann
}

// closed says that mail for the domain goes only to whom the Directory knows,
// and to the CatchAll.
func (d *Domain) closed() bool {
	return d.Directory != nil && (d.Kind == Authoritative || d.Kind == InternalRelay && d.CatchAll != "")
}
