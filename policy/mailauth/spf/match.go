package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

var errTemporary = errors.New("no answer from DNS")

// match reports whether a mechanism matches e's client. An error that wraps
// errTemporary means TempError, any other error PermError.
func (e *evaluation) match(d *directive, domain string) (bool, error) {
	switch d.name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return d.network.Contains(e.ip), nil
	}
	if err := e.count(); err != nil {
		return false, err
	}
	if d.name == "ptr" && d.domain == nil {
		return e.matchPTR(domain)
	}
	target := e.expand(d.domain, domain)
	switch d.name {
	case "include":
		return e.include(target)
	case "a":
		return e.matchHost(target, d)
	case "mx":
		return e.matchMX(target, d)
	case "exists":
		addrs, err := e.addresses(resolver.TypeA, target) // A records for IPv6 clients too: RFC 7208, 5.7
		if err == nil && len(addrs) == 0 {
			err = e.void()
		}
		return len(addrs) > 0, err
	default:
		return e.matchPTR(target)
	}
}

// include checks the policy of another domain (RFC 7208, 5.2).
func (e *evaluation) include(target string) (bool, error) {
	o := e.checkHost(target)
	switch o.result {
	case Pass:
		return true, nil
	case None:
		return false, fmt.Errorf("the target has no policy: %v", o.err)
	case TempError:
		return false, fmt.Errorf("%w: %w", errTemporary, o.err)
	case PermError:
		return false, o.err
	}
	return false, nil
}

func (e *evaluation) matchHost(target string, d *directive) (bool, error) {
	addrs, err := e.addresses(e.family(), target)
	if err == nil && len(addrs) == 0 {
		err = e.void()
	}
	return e.within(addrs, d), err
}

func (e *evaluation) matchMX(target string, d *directive) (bool, error) {
	if !lookup.Valid(target) {
		return false, e.void()
	}
	mxs, err := resolver.MXs(e.ctx, e.resolver, target)
	switch {
	case resolver.IsNotFound(err):
		return false, e.void()
	case err != nil:
		return false, fmt.Errorf("%w: %w", errTemporary, err)
	}
	if len(mxs) > maxNames {
		return false, fmt.Errorf("%d MX records, more than %d", len(mxs), maxNames)
	}
	for _, mx := range mxs {
		addrs, err := e.addresses(e.family(), mx.Host)
		if err != nil || e.within(addrs, d) {
			return err == nil, err
		}
	}
	return false, nil
}

// matchPTR matches a ptr mechanism. DNS errors mean no match (RFC 7208, 5.5).
func (e *evaluation) matchPTR(target string) (bool, error) {
	names := e.clientNames()
	if e.ptrVoid {
		return false, e.void()
	}
	for _, name := range names {
		if isBelow(name, target) {
			return true, nil
		}
	}
	return false, nil
}

// clientNames returns the client's names that resolve to its address. It queries
// DNS only once.
func (e *evaluation) clientNames() []string {
	if e.ptrAsked {
		return e.names
	}
	e.ptrAsked = true
	names, err := resolver.PTRs(e.ctx, e.resolver, e.ip)
	e.ptrVoid = resolver.IsNotFound(err)
	for _, name := range names[:min(len(names), maxNames)] {
		addrs, _ := e.addresses(e.family(), name)
		for _, a := range addrs {
			if a == e.ip {
				e.names = append(e.names, strings.TrimSuffix(name, "."))
				break
			}
		}
	}
	return e.names
}

// isBelow reports whether name is domain or a subdomain of it.
func isBelow(name, domain string) bool {
	name, domain = addr.Lower(name), addr.Lower(strings.TrimSuffix(domain, "."))
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// family returns the type of record for addresses like the client's.
func (e *evaluation) family() resolver.Type {
	if e.ip.Is4() {
		return resolver.TypeA
	}
	return resolver.TypeAAAA
}

// addresses returns the addresses of a host of one type.
func (e *evaluation) addresses(family resolver.Type, host string) ([]netip.Addr, error) {
	if !lookup.Valid(host) {
		return nil, nil
	}
	addrs, err := resolver.Addrs(e.ctx, e.resolver, host, family)
	switch {
	case resolver.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errTemporary, err)
	}
	return addrs, nil
}

// within reports whether the client is in the network of one of the addresses.
func (e *evaluation) within(addrs []netip.Addr, d *directive) bool {
	bits := d.bits6
	if e.ip.Is4() {
		bits = d.bits4
	}
	for _, a := range addrs {
		if p, err := a.Prefix(bits); err == nil && p.Contains(e.ip) {
			return true
		}
	}
	return false
}

// A Resolver looks up records in the DNS. It is the same type as
// policy.Resolver and routing.Resolver. A routing.DNSResolver queries name
// servers and caches their answers; a policy.NetResolver uses a net.Resolver.
// To write another one, see routing.Resolver.
type Resolver = resolver.Resolver
