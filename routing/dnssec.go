package routing

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// checkResolvers returns an error for each connector whose Resolver cannot give
// the answers that its settings need.
func (r *Router) checkResolvers(t *Table) error {
	errs := []error{validateResolver("Router.Resolver", r.Resolver)}
	for _, c := range t.connectors {
		errs = append(errs, validateResolver(fmt.Sprintf("connector %q: Resolver", c.Name), c.Resolver))
		if !c.byDNS() {
			continue
		}
		dns := c.Resolver
		if dns == nil {
			dns = r.Resolver
		}
		if field := r.needsDANE(c); field != "" {
			if err := checkDNSSEC(dns); err != nil {
				errs = append(errs, fmt.Errorf("routing: connector %q: %s: %w", c.Name, field, err))
			}
		}
		if _, is := dns.(*NetResolver); is && r.StrictMX {
			errs = append(errs, fmt.Errorf("routing: connector %q: Router.StrictMX cannot be used with a NetResolver: a net.Resolver does not report aliases; use a DNSResolver", c.Name))
		}
	}
	return errors.Join(errs...)
}

// needsDANE returns the field that requires DANE for all mail or for the mail of
// some domains, or "".
func (r *Router) needsDANE(c *connector) string {
	for _, domain := range slices.Sorted(maps.Keys(c.DomainTLS)) {
		if c.DomainTLS[domain].Level == smtpclient.TLSDANE {
			return fmt.Sprintf("DomainTLS[%q]", domain)
		}
	}
	if c.TLS != nil {
		if c.TLS.Level == smtpclient.TLSDANE {
			return "TLS"
		}
		return ""
	}
	transport, _ := c.Transport.(smtpTransport)
	if c.Transport == nil && r.NewTransport != nil {
		transport, _ = r.transport(c).(smtpTransport)
	}
	if transport.Transport != nil && transport.TLS.Level == smtpclient.TLSDANE {
		return "Transport.TLS"
	}
	return ""
}

// checkDNSSEC returns an error if no answer of the Resolver is Secure. A nil
// Resolver is the default, a DNSResolver without TrustAD.
func checkDNSSEC(r Resolver) error {
	if r == nil {
		r = &DNSResolver{}
	}
	if resolver.Authenticated(r) {
		return nil
	}
	reason := "its method Authenticated returns false"
	switch r.(type) {
	case *DNSResolver:
		reason = "DNSResolver.TrustAD is not set"
	case *NetResolver:
		reason = "a net.Resolver does not report DNSSEC"
	}
	return fmt.Errorf("the level dane needs answers that DNSSEC authenticates, but the Resolver has none (%s): use a DNSResolver with TrustAD", reason)
}
