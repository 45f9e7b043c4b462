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

// A NetResolver asks a [Resolver] with the methods of net.Resolver. The agents
// of package policy take one: they then share the cache of a DNSResolver. Unlike net.Resolver it also asks for names with
// other octets than letters, digits, hyphens and underscores in them, as SPF
// macros yield, and it knows a name that does not exist from one without
// records.
//
// Errors are *net.DNSError, with IsNotFound where there is no such name or
// record; of all others the question may be asked again.
type NetResolver struct {
	Resolver Resolver
}

// LookupTXT returns the TXT records of a name, the strings of each joined.
func (r *NetResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return collect(ctx, r, name, dns.TypeTXT, func(rr *dns.TXT) (string, bool) {
		return unescape(strings.Join(rr.Txt, "")), true
	})
}

// LookupMX returns the MX records of a name, in no order.
func (r *NetResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return collect(ctx, r, name, dns.TypeMX, func(rr *dns.MX) (*net.MX, bool) {
		return &net.MX{Host: unescape(rr.Mx), Pref: rr.Preference}, true
	})
}

// LookupNetIP returns the addresses of a host: network is "ip4", "ip6" or
// "ip" for both. Where one family cannot be looked up, it returns the addresses
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

// LookupAddr returns the names of an address, each with a dot at its end.
func (r *NetResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "unrecognized address", Name: addr}
	}
	return collect(ctx, r, name, dns.TypePTR, func(rr *dns.PTR) (string, bool) { return unescape(rr.Ptr), true })
}

// NameExists says whether there is a name, with whatever records or with
// names below it (RFC 8020).
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

// collect asks for records of one type and takes from each what is wanted.
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

// netError makes a *net.DNSError of a Resolver's error.
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

// escape writes a name as package dns does (RFC 1035, 5.1): what has a
// meaning in master files with a backslash, what is not printable as \DDD.
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

// unescape is the text that package dns has escaped.
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
