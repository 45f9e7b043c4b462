package routing

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// validate returns an error that names each setting that can never work.
func (r *DNSResolver) validate(prefix string) error {
	errs := []error{settings.Join(prefix, settings.Time("Timeout", r.Timeout), settings.Number("Attempts", r.Attempts))}
	for i, s := range r.Servers {
		if err := validateServer(s); err != nil {
			errs = append(errs, fmt.Errorf("%sServers[%d]: %w", prefix, i, err))
		}
	}
	return errors.Join(errs...)
}

// validateServer checks the form of a name server: "host" or "host:port".
func validateServer(s string) error {
	host, port, err := net.SplitHostPort(withPort(s, "53"))
	if err != nil {
		return fmt.Errorf("%q is not a host with an optional port", s)
	}
	if n, err := net.LookupPort("udp", port); err != nil || n == 0 {
		return fmt.Errorf("%q: %q is not a port", s, port)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if _, err := addr.Domain(host); err != nil {
		return fmt.Errorf("%q is not a host name or an address", s)
	}
	return nil
}

// validateResolver returns the error of a DNSResolver, and one for a typed nil.
func validateResolver(field string, r Resolver) error {
	if settings.IsTypedNil(r) {
		return fmt.Errorf("routing: %s: is a nil %T", field, r)
	}
	if dns, is := r.(*DNSResolver); is {
		return dns.validate("routing: " + field + ": ")
	}
	return nil
}
