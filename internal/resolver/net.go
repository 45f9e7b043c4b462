package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// A Net is a Resolver that uses a net.Resolver, and with it the settings of the
// system, for example /etc/hosts. The zero value uses net.DefaultResolver.
//
// A net.Resolver has limits that a Net cannot remove:
//   - Its answers are never Secure, so DANE cannot be used, and it does not look
//     up TLSA and CNAME records.
//   - It does not distinguish a name that does not exist from a name without
//     records (the Problem is always NotFound), and does not report the end of a
//     CNAME chain (Answer.Name is always the name of the query).
//   - It does not look up names that have octets other than letters, digits,
//     hyphens and underscores. The result is NotFound.
//   - It has no cache, and its answers have no expiry.
type Net struct {
	// Resolver is the resolver to use. Default net.DefaultResolver.
	Resolver *net.Resolver
}

// Authenticated returns false: a net.Resolver does not report DNSSEC.
func (n *Net) Authenticated() bool { return false }

// Lookup implements Resolver.
func (n *Net) Lookup(ctx context.Context, name string, t Type) (*Answer, error) {
	name = strings.TrimSuffix(name, ".")
	SetSource(ctx, "system")
	a := &Answer{Name: name}
	if err := n.fill(ctx, a, name, t); err != nil {
		return nil, netError(err, name, t)
	}
	if !a.Has(t) {
		return nil, &Error{Problem: NotFound, Name: name, Type: t}
	}
	return a, nil
}

// fill looks up records of type t. If a net.Resolver returns records together
// with an error, it has left out other records that it could not read.
func (n *Net) fill(ctx context.Context, a *Answer, name string, t Type) (err error) {
	r := n.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	switch t {
	case TypeA, TypeAAAA:
		a.Addrs, err = hostAddrs(ctx, r, name, t)
	case TypeTXT:
		a.TXT, err = r.LookupTXT(ctx, name+".")
	case TypeMX:
		var mxs []*net.MX
		if mxs, err = r.LookupMX(ctx, name+"."); len(mxs) > 0 {
			err = nil
		}
		for _, mx := range mxs {
			a.MX = append(a.MX, MX{Preference: mx.Pref, Host: trimDot(mx.Host)})
		}
	case TypePTR:
		ip, ok := reverseAddr(name)
		if !ok {
			return &Error{Problem: NotFound, Name: name, Type: t, Detail: "not the reverse name of an address"}
		}
		var names []string
		if names, err = r.LookupAddr(ctx, ip.String()); len(names) > 0 {
			err = nil
		}
		for _, name := range names {
			a.Names = append(a.Names, trimDot(name))
		}
	default:
		return &Error{Problem: Failure, Name: name, Type: t, Detail: "a net.Resolver does not look up this type"}
	}
	return err
}

func hostAddrs(ctx context.Context, r *net.Resolver, name string, t Type) ([]netip.Addr, error) {
	network := "ip4"
	if t == TypeAAAA {
		network = "ip6"
	}
	addrs, err := r.LookupNetIP(ctx, network, name+".")
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// trimDot removes the final dot, except that of the root.
func trimDot(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// netError converts an error of a net.Resolver to an *Error.
func netError(err error, name string, t Type) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	e := &Error{Problem: Failure, Name: name, Type: t, Err: err}
	var n *net.DNSError
	if errors.As(err, &n) {
		switch {
		case n.IsNotFound:
			e.Problem = NotFound
		case n.IsTimeout:
			e.Problem = Unavailable
		}
	}
	return e
}
