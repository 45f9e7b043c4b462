package routing

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// A NetResolver adds the methods of net.Resolver to a [Resolver]. The agents
// of package policy use such a resolver; with a NetResolver they share the
// cache of a DNSResolver. Unlike net.Resolver, it also looks up names with
// octets other than letters, digits, hyphens and underscores, which SPF macros
// can produce. It also distinguishes a name that does not exist from a name
// without records.
//
// Errors are *net.DNSError. IsNotFound is set if the name or the record does
// not exist. After any other error, the lookup can be retried.
type NetResolver struct {
	Resolver Resolver
}

// LookupTXT returns the TXT records of a name, with the strings of each record
// joined.
func (r *NetResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return collect(ctx, r, name, dns.TypeTXT, func(rr *dns.TXT) (string, bool) {
		return unescape(strings.Join(rr.Txt, "")), true
	})
}

// LookupMX returns the MX records of a name in no particular order.
func (r *NetResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return collect(ctx, r, name, dns.TypeMX, func(rr *dns.MX) (*net.MX, bool) {
		return &net.MX{Host: unescape(rr.Mx), Pref: rr.Preference}, true
	})
}

// LookupNetIP returns the addresses of a host. network is "ip4", "ip6", or
// "ip" for both. If the lookup of one family fails, it returns the addresses
// of the other, as net.Resolver does.
func (r *NetResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	var four, six []netip.Addr
	var err4, err6 error
	var wg sync.WaitGroup
	if network != "ip6" {
		wg.Go(func() {
			four, err4 = collect(ctx, r, host, dns.TypeA, func(rr *dns.A) (netip.Addr, bool) {
				a, ok := netip.AddrFromSlice(rr.A)
				return a.Unmap(), ok
			})
		})
	}
	if network != "ip4" {
		wg.Go(func() {
			six, err6 = collect(ctx, r, host, dns.TypeAAAA, func(rr *dns.AAAA) (netip.Addr, bool) {
				return netip.AddrFromSlice(rr.AAAA)
			})
		})
	}
	wg.Wait()
	if all := append(four, six...); len(all) > 0 {
		return all, nil
	}
	for _, err := range []error{err4, err6} {
		var e *net.DNSError
		if errors.As(err, &e) && !e.IsNotFound {
			return nil, err // temporary: the host may have addresses
		}
	}
	return nil, errors.Join(err4, err6)
}

// LookupAddr returns the names of an address, each with a final dot.
func (r *NetResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "unrecognized address", Name: addr}
	}
	return collect(ctx, r, name, dns.TypePTR, func(rr *dns.PTR) (string, bool) { return unescape(rr.Ptr), true })
}

// NameExists reports whether a name exists: whether it has records of any type
// or has subdomains (RFC 8020).
func (r *NetResolver) NameExists(ctx context.Context, name string) (bool, error) {
	_, err := r.Resolver.Lookup(ctx, escape(name), dns.TypeTXT)
	var e *DNSError
	switch {
	case err == nil || errors.As(err, &e) && e.Problem == NoRecord:
		return true, nil
	case e != nil && (e.Problem == NoSuchName || e.Problem == BadName):
		return false, nil
	}
	return false, netError(err, name)
}

// collect looks up records of one type and converts each with take.
func collect[RR dns.RR, T any](ctx context.Context, r *NetResolver, name string, qtype uint16, take func(RR) (T, bool)) ([]T, error) {
	a, err := r.Resolver.Lookup(ctx, escape(name), qtype)
	if err != nil {
		return nil, netError(err, name)
	}
	var all []T
	for _, rr := range a.Records {
		if rr, ok := rr.(RR); ok {
			if v, ok := take(rr); ok {
				all = append(all, v)
			}
		}
	}
	return all, nil
}

// netError converts a Resolver's error to a *net.DNSError.
func netError(err error, name string) error {
	n := &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: name, IsTemporary: true}
	var e *DNSError
	if errors.As(err, &e) {
		n.Err = e.Problem.String()
		switch e.Problem {
		case NoSuchName, NoRecord, BadName:
			n.IsNotFound, n.IsTemporary = true, false
		case DNSUnavailable:
			n.IsTimeout = true
		}
	}
	return n
}

// escape writes a name as package dns does (RFC 1035, 5.1): a character with a
// special meaning in master files gets a backslash, and an octet that is not
// printable is \DDD.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			b.Write([]byte{'\\', c})
		case c < ' ' || c > '~':
			b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape removes the escapes of package dns.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			c = s[i]
			if i+2 < len(s) && isDigits(s[i:i+3]) {
				c = (s[i]-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0'
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }
