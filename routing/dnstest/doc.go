// Package dnstest is a DNS server in the same process, for tests and examples
// of mail routing: it says what its script tells it to say, also when that is
// wrong, late or nothing at all.
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
// Records are lines of a master file (RFC 1035, 5.1). Every name that has
// neither a record nor a descendant does not exist. [Server.Secure] makes the
// answers below a name authenticated (the AD bit), [Server.Fault] breaks them,
// and [Server.Count] tells what was asked.
package dnstest
