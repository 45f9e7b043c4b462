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

// A Resolver asks the DNS. *net.Resolver is one, and net.DefaultResolver is
// used where none is set. It must be safe for concurrent use. When a name has
// no such records the error is a *net.DNSError with IsNotFound; any other
// error is a temporary one, by which nothing is known about the name. Beside
// records an error means that some could not be read.
//
// *net.Resolver takes a referral that has additional records for "no such
// record"; routing.NetResolver asks the next server then.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
}

// dnsTime bounds what one judgement may wait for the DNS.
const dnsTime = 10 * time.Second

func orDefault(r Resolver) Resolver {
	if r == nil {
		return net.DefaultResolver
	}
	return r
}

// notFound says that a name has no records of the kind that was asked for.
func notFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// rooted keeps resolvers from trying search domains.
func rooted(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

// maxNames bounds the names that one address is believed to have.
const maxNames = 10

// confirmedNames are the names of an address that have that address too, in
// lower case. An error says that there may be more of them.
func confirmedNames(ctx context.Context, r Resolver, ip netip.Addr) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	names, err := claimedNames(ctx, r, ip)
	if err != nil {
		return nil, err
	}
	family := "ip4" // a failure of the other one does not matter
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

// names are the confirmed ones of a session's address, once looked up.
type names struct {
	ip   netip.Addr
	list []string
	err  error
}

type namesKey struct{}

// hostNames are confirmedNames, looked up once in a session.
func hostNames(ctx context.Context, s *smtpserver.Session, r Resolver, ip netip.Addr) ([]string, error) {
	n, _ := s.Value(namesKey{}).(*names)
	if n == nil || n.ip != ip {
		n = &names{ip: ip}
		n.list, n.err = confirmedNames(ctx, orDefault(r), ip)
		s.SetValue(namesKey{}, n)
	}
	return n.list, n.err
}

// claimedNames are the names that an address has by reverse DNS, in lower
// case. Whoever owns the address can claim any name.
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

// matchAny says whether one of the names is one of the patterns'.
func matchAny(patterns, names []string) bool {
	for _, name := range names {
		if slices.ContainsFunc(patterns, func(p string) bool { return matchDomain(p, name) }) {
			return true
		}
	}
	return false
}

// matchDomain says whether a domain is a pattern's: the very one, or, for
// "*.domain", one below it. Both in canonical form.
func matchDomain(pattern, domain string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		head, ok := strings.CutSuffix(domain, rest)
		return ok && len(head) > 1 && strings.HasSuffix(head, ".")
	}
	return pattern == domain
}
