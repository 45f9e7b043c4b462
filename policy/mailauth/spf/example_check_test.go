package spf_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

// Check needs no settings. A name that is not a domain has no policy, so Check sends
// no DNS query (RFC 7208, 4.3).
func ExampleCheck() {
	v := spf.Check(context.Background(), netip.MustParseAddr("192.0.2.7"), "printer", "")
	fmt.Println(v.Result)
	// Output: none
}
