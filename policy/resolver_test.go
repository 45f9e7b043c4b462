package policy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// oneFamily is a Resolver that fails for all addresses of the other family.
type oneFamily struct {
	fakeDNS
	network string
}

func (r oneFamily) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if network != r.network {
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	}
	return r.fakeDNS.LookupNetIP(ctx, network, host)
}

// A name is confirmed by a lookup in the address family of the client.
func TestNamesAreConfirmedByOneFamily(t *testing.T) {
	dns := fakeDNS{
		"PTR 192.0.2.1": "mx.example.net.", "PTR 2001:db8::1": "mx.example.net.",
		"A mx.example.net": "192.0.2.1 2001:db8::1",
	}
	for ip, network := range map[string]string{"192.0.2.1": "ip4", "2001:db8::1": "ip6"} {
		names, err := confirmedNames(t.Context(), oneFamily{dns, network}, netip.MustParseAddr(ip))
		if err != nil || !slices.Equal(names, []string{"mx.example.net"}) {
			t.Errorf("%s: %q, %v", ip, names, err)
		}
		other := map[string]string{"ip4": "ip6", "ip6": "ip4"}[network]
		if names, err := confirmedNames(t.Context(), oneFamily{dns, other}, netip.MustParseAddr(ip)); err == nil || len(names) > 0 {
			t.Errorf("%s, with a failure of its own family: %q, %v", ip, names, err)
		}
	}
}
