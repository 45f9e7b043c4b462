// Package dnstest is an in-process DNS server for tests and examples of mail
// routing. Its records are set by the test. It can also simulate wrong answers,
// late answers and servers that do not answer.
//
//	dns, err := dnstest.Start(`
//		example.net.       MX  10 mx1.example.net.
//		mx1.example.net.   A   127.0.0.1
//		nomail.example.    MX  0 .
//	`)
//	if err != nil { ... }
//	defer dns.Close()
//	router := &routing.Router{Resolver: &routing.DNSResolver{Servers: []string{dns.Addr}}, ...}
//
// A [Server] is also a Resolver itself. A test that needs no DNS messages, sockets
// or cache can use a server of [InMemory] directly:
//
//	checker := &spf.Checker{Resolver: dns}
//
// Records have the form of a master file (RFC 1035, 5.1). A name exists if it
// or a name below it has a record. [Server.Secure] marks the answers for a name
// and all names below it as authenticated (the AD bit), [Server.Fault]
// simulates faults, and [Server.Count] returns how many queries the server
// received.
package dnstest
