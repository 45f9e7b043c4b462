package policy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Resolver looks up names in the DNS. *net.Resolver is one; if no Resolver is
// set, net.DefaultResolver is used. It must be safe for concurrent use. If a
// name has no records of the type, the error is a *net.DNSError with
// IsNotFound. Any other error is temporary: it does not show whether the name
// exists. If a method returns records and an error, some records could not be
// read.
//
// *net.Resolver treats a referral with additional records as "no such record".
// routing.NetResolver asks the next server in this case.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
}

// dnsTime limits the DNS lookups of one decision.
const dnsTime = 10 * time.Second

func orDefault(r Resolver) Resolver {
	if r == nil {
		return net.DefaultResolver
	}
	return r
}

// notFound reports whether the error means that the name has no records of the
// type.
func notFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// rooted adds the final dot, so that resolvers do not try search domains.
func rooted(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

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
	family := "ip4" // a failure of the other family does not matter
	if ip.Is6() {
		family = "ip6"
	}
	var confirmed []string
	var failed error
	for _, name := range names {
		addrs, err := r.LookupNetIP(ctx, family, rooted(name))
		if err != nil && !notFound(err) {
			failed = err
		}
		for _, a := range addrs {
			if a.Unmap() == ip {
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
		n.list, n.err = confirmedNames(ctx, orDefault(r), ip)
		s.SetValue(namesKey{}, n)
	}
	return n.list, n.err
}

// claimedNames returns the reverse-DNS names of an address, in lower case.
// They are not confirmed: the owner of an address can claim any name.
func claimedNames(ctx context.Context, r Resolver, ip netip.Addr) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	names, err := r.LookupAddr(ctx, ip.String())
	if len(names) == 0 && err != nil && !notFound(err) {
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
