package dnstest_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// A server with one domain. The first query for its mail host fails.
func Example() {
	server, err := dnstest.Start(`
		example.net.     MX 10 mx.example.net.
		mx.example.net.  A  192.0.2.1`)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	server.Fault("mx.example.net", "A", dnstest.Fault{Rcode: dnstest.ServFail, Times: 1})

	resolver := &routing.DNSResolver{Servers: []string{server.Addr}}
	answer, err := resolver.Lookup(context.Background(), "mx.example.net", routing.TypeA)
	if err != nil {
		panic(err)
	}
	fmt.Println(answer.Addrs)
	fmt.Println("asked", server.Count("mx.example.net", "A"), "times")
	// Output:
	// [192.0.2.1]
	// asked 2 times
}

// A Server is a Resolver. A test that sends no DNS messages needs no sockets.
func ExampleInMemory() {
	dns, err := dnstest.InMemory(`example.org. TXT "v=spf1 ip4:192.0.2.0/24 -all"`)
	if err != nil {
		panic(err)
	}
	defer dns.Close()
	checker := &spf.Checker{Resolver: dns}
	v := checker.Check(context.Background(), netip.MustParseAddr("192.0.2.7"), "mail.example.org", "alice@example.org")
	fmt.Println(v.Result)

	_, err = dns.Lookup(context.Background(), "example.com", routing.TypeTXT)
	fmt.Println(err)
	// Output:
	// pass
	// example.com TXT: no such domain
}
