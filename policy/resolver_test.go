package policy

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// oneFamily is a Resolver that fails for all addresses of the other family.
type oneFamily struct {
	fakeDNS
	family resolver.Type
}

func (r oneFamily) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if t != r.family && t != resolver.TypePTR {
		return nil, &resolver.Error{Problem: resolver.Failure, Name: name, Type: t}
	}
	return r.fakeDNS.Lookup(ctx, name, t)
}

// A name is confirmed by a lookup in the address family of the client.
func TestNamesAreConfirmedByOneFamily(t *testing.T) {
	dns := fakeDNS{
		"PTR 192.0.2.1": "mx.example.net.", "PTR 2001:db8::1": "mx.example.net.",
		"A mx.example.net": "192.0.2.1 2001:db8::1",
	}
	for ip, family := range map[string]resolver.Type{"192.0.2.1": resolver.TypeA, "2001:db8::1": resolver.TypeAAAA} {
		names, err := confirmedNames(t.Context(), oneFamily{dns, family}, netip.MustParseAddr(ip))
		if err != nil || !slices.Equal(names, []string{"mx.example.net"}) {
			t.Errorf("%s: %q, %v", ip, names, err)
		}
		other := resolver.TypeA + resolver.TypeAAAA - family
		if names, err := confirmedNames(t.Context(), oneFamily{dns, other}, netip.MustParseAddr(ip)); err == nil || len(names) > 0 {
			t.Errorf("%s, with a failure of its own family: %q, %v", ip, names, err)
		}
	}
}
