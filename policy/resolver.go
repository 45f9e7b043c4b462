package policy

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Resolver looks up records in the DNS. It is the same type as the Resolver
// of package routing and of the packages for mail authentication, so one
// Resolver serves all of them. A routing.DNSResolver queries name servers and
// caches their answers. A [NetResolver] uses a net.Resolver. If neither the
// agent nor the gateway.Gateway has a Resolver, a zero NetResolver is used. To
// write another one, see routing.Resolver, which states what its method must
// do:
//
//	Lookup(ctx context.Context, name string, t routing.RecordType) (*routing.Answer, error)
type Resolver = resolver.Resolver

// A NetResolver is a Resolver that uses a net.Resolver, and with it the settings
// of the system, for example /etc/hosts. The zero value uses net.DefaultResolver.
// It has one field, Resolver, a *net.Resolver. It treats a referral with
// additional records as "no such record"; a routing.DNSResolver asks the next
// server in this case. See routing.NetResolver for its other limits.
type NetResolver = resolver.Net

// dnsTime limits the DNS lookups of one decision.
const dnsTime = 10 * time.Second

// maxNames limits how many names of one address are used.
const maxNames = 10

// confirmedNames returns the host names of an address that resolve back to it,
// in lower case. After an error there may be more of them.
func confirmedNames(ctx context.Context, r Resolver, ip netip.Addr) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	names, err := claimedNames(ctx, r, ip)
	if err != nil {
		return nil, err
	}
	family := resolver.TypeA // a failure of the other family does not matter
	if ip.Is6() {
		family = resolver.TypeAAAA
	}
	var confirmed []string
	var failed error
	for _, name := range names {
		addrs, err := resolver.Addrs(ctx, r, name, family)
		if err != nil && !resolver.IsNotFound(err) {
			failed = err
		}
		for _, a := range addrs {
			if a == ip {
				confirmed = append(confirmed, name)
				break
			}
		}
	}
	return confirmed, failed
}

// names are the confirmed host names of an address, cached for the session.
type names struct {
	ip   netip.Addr
	list []string
	err  error
}

type namesKey struct{}

// hostNames returns confirmedNames, looked up once per session.
func hostNames(ctx context.Context, s *smtpserver.Session, r Resolver, ip netip.Addr) ([]string, error) {
	n, _ := s.Value(namesKey{}).(*names)
	if n == nil || n.ip != ip {
		n = &names{ip: ip}
		n.list, n.err = confirmedNames(ctx, r, ip)
		s.SetValue(namesKey{}, n)
	}
	return n.list, n.err
}

// claimedNames returns the reverse-DNS names of an address, in lower case.
// They are not confirmed: the owner of an address can claim any name.
func claimedNames(ctx context.Context, r Resolver, ip netip.Addr) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	names, err := resolver.PTRs(ctx, r, ip)
	if err != nil && !resolver.IsNotFound(err) {
		return nil, err
	}
	var list []string
	for _, name := range names[:min(len(names), maxNames)] {
		list = append(list, addr.Lower(strings.TrimSuffix(name, ".")))
	}
	return list, nil
}

// matchAny reports whether one of the names matches one of the patterns.
func matchAny(patterns, names []string) bool {
	for _, name := range names {
		if slices.ContainsFunc(patterns, func(p string) bool { return matchDomain(p, name) }) {
			return true
		}
	}
	return false
}

// matchDomain reports whether a domain matches a pattern: it is equal, or for
// "*.domain" it is below the domain. Both are in canonical form.
func matchDomain(pattern, domain string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		head, ok := strings.CutSuffix(domain, rest)
		return ok && len(head) > 1 && strings.HasSuffix(head, ".")
	}
	return pattern == domain
}
