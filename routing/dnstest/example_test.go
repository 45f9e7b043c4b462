package dnstest_test

import (
	"fmt"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// A server with one domain. The first lookup of its mail host fails.
func Example() {
	server, err := dnstest.Start(`
		example.net.     MX 10 mx.example.net.
		mx.example.net.  A  192.0.2.1`)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	server.Fault("mx.example.net", "A", dnstest.Fault{Rcode: dns.RcodeServerFailure, Times: 1})

	for range 2 {
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion("mx.example.net.", dns.TypeA), server.Addr)
		if err != nil {
			panic(err)
		}
		fmt.Println(dns.RcodeToString[reply.Rcode], len(reply.Answer))
	}
	fmt.Println("asked", server.Count("mx.example.net", "A"), "times")
	// Output:
	// SERVFAIL 0
	// NOERROR 1
	// asked 2 times
}
