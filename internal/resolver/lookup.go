package resolver

import (
	"context"
	"net/netip"
	"strings"
	"sync"
)

// Lookup calls r.Lookup for our packages. It removes the final dot of the name.
// An answer that has no records counts as NotFound, so that a mistake of a
// Resolver does not look like a null MX. A nil r is a Net.
func Lookup(ctx context.Context, r Resolver, name string, t Type) (*Answer, error) {
	name = strings.TrimSuffix(name, ".")
	if log := LoggerOf(ctx); log != nil {
		return logged(ctx, log, r, name, t)
	}
	return lookup(ctx, r, name, t)
}

func lookup(ctx context.Context, r Resolver, name string, t Type) (*Answer, error) {
	a, err := OrDefault(r).Lookup(ctx, name, t)
	if err == nil && (a == nil || !a.Has(t)) {
		return nil, &Error{Problem: NotFound, Name: name, Type: t, Detail: "empty answer"}
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// OrDefault returns r, or a Net if r is nil.
func OrDefault(r Resolver) Resolver {
	if r == nil {
		return &Net{}
	}
	return r
}

// Addrs returns the addresses of a host: of TypeA, of TypeAAAA, or of both.
// IPv4 addresses have the form of 4 octets. The caller owns the slice. If one of
// two lookups fails, Addrs returns the addresses of the other. If there are no
// addresses, it returns an error, a temporary one if there is one.
func Addrs(ctx context.Context, r Resolver, host string, types ...Type) ([]netip.Addr, error) {
	answers := make([]*Answer, len(types))
	errs := make([]error, len(types))
	var wg sync.WaitGroup
	for i, t := range types[1:] {
		wg.Go(func() { answers[i+1], errs[i+1] = Lookup(ctx, r, host, t) })
	}
	answers[0], errs[0] = Lookup(ctx, r, host, types[0])
	wg.Wait()
	var all []netip.Addr
	for i, a := range answers {
		if a == nil {
			continue
		}
		for _, ip := range a.Addrs {
			if ip = ip.Unmap(); ip.Is4() == (types[i] == TypeA) {
				all = append(all, ip)
			}
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, err := range errs {
		if err != nil && !IsNotFound(err) {
			return nil, err // temporary: the host may have addresses
		}
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return nil, &Error{Problem: NotFound, Name: host, Type: types[0], Detail: "addresses of another type"}
}

// MXs returns the MX records of a name.
func MXs(ctx context.Context, r Resolver, name string) ([]MX, error) {
	a, err := Lookup(ctx, r, name, TypeMX)
	if err != nil {
		return nil, err
	}
	return a.MX, nil
}

// TXTs returns the TXT records of a name.
func TXTs(ctx context.Context, r Resolver, name string) ([]string, error) {
	a, err := Lookup(ctx, r, name, TypeTXT)
	if err != nil {
		return nil, err
	}
	return a.TXT, nil
}

// PTRs returns the names of an address.
func PTRs(ctx context.Context, r Resolver, ip netip.Addr) ([]string, error) {
	a, err := Lookup(ctx, r, ReverseName(ip), TypePTR)
	if err != nil {
		return nil, err
	}
	return a.Names, nil
}
