package policy_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The gateway of an organization: every client may send to its two users, and
// clients in its own network may send to all domains.
func ExampleGate() {
	gate := &policy.Gate{
		Domains: []policy.Domain{{
			Name:      "example.com",
			Kind:      policy.Authoritative,
			Directory: policy.Recipients("alice", "bob"),
		}},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		Queue:    new(queue.Queue), // with a Store and a Deliverer
	}
	srv := &smtpserver.Server{Hostname: "relay.example.com"}
	if err := gate.Install(srv); err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range srv.Agents {
		fmt.Println(a.Name)
	}
	// Output:
	// rights
	// relay
	// loop
	// trace
}

// A setting that would make an open relay is an error that names the setting.
func ExampleGate_openRelay() {
	gate := &policy.Gate{
		Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		Queue:    new(queue.Queue),
	}
	fmt.Println(gate.Install(new(smtpserver.Server)))
	// Output: policy: relay network 0.0.0.0/0 contains a large part of the internet: that would be an open relay
}

// A directory of the application. Clients may write addresses in upper and
// lower case.
func ExampleDirectoryFunc() {
	accounts := map[string]bool{"alice@example.com": true}
	d := policy.DirectoryFunc(func(_ context.Context, address string) (bool, error) {
		return accounts[strings.ToLower(address)], nil
	})
	for _, address := range []string{"Alice@Example.com", "mallory@example.com"} {
		fmt.Println(d.Exists(context.Background(), address))
	}
	// Output:
	// true <nil>
	// false <nil>
}
