// Package routing decides which way mail goes, and takes it there: it is the
// send side's judgement of a relay.
//
// A [Connector] is one way out: the domains that it serves, the smart hosts
// or the DNS by which the next hop is found, who may use it, when it runs. A
// [Table] is a set of connectors that was checked as a whole; it chooses as
// Exchange does. A [Router] uses it: it is the Deliverer of a queue.Queue.
//
//	table, err := routing.NewTable(
//		routing.Connector{
//			Name:       "organisation",
//			Spaces:     []string{"example.com"},
//			SmartHosts: routing.SmartHosts("10.0.0.5", "10.0.0.6"),
//			Exclusive:  true, // down or not, the world does not get it
//		},
//		routing.Connector{Name: "internet", Spaces: []string{"*;10"}}, // by DNS: MX
//	)
//	if err != nil { ... } // says which connector and which field
//	router := &routing.Router{Table: table, Hostname: "relay.example.com"}
//	q := &queue.Queue{Store: store, Deliverer: router}
//	...
//	router.Close()
//
// # How a connector is chosen
//
// For each recipient, on its domain. Connectors that are disabled, whose
// scope leaves the message out, for which it is too large or whose
// restrictions bar it, do not take part. Among the others the most specific
// address space wins ("example.com" before "*.example.com" before "*.com"
// before "*"), then the lowest cost, then the name. [Router.Explain] tells the
// decision on any hypothetical message with all its reasons, and can look the
// hosts up and try them.
//
// When connectors match but all are too small, the recipient fails with
// 5.3.4; when restrictions bar it from all, with 5.7.1; when there is none at
// all, or one that is disabled would take it, the mail waits (4.4.4) for a table
// that has one. A domain of ours ([Site].Domains) with a connector of its own
// has no way by "*" or the DNS, which would lead back here.
//
// # When hosts are down
//
// Mail waits in the queue of the connector that was chosen for it. When that
// one's hosts are all down, its Fallback serves, and then the next that
// matches: what a host on such a detour answers counts, but what the DNS or
// the table says about it does not, so no mail fails because its own hosts are
// down. Hosts whose TLS is not what the policy asks for are not down, and
// there is no detour around them. Nor is there any for an Exclusive connector
// but its Fallback: that keeps mail for partners and for one's own servers
// from the way of everybody's.
//
// # Mail that waits to be asked for
//
// A connector can run at certain hours only (a [Schedule]), or hold its mail
// until the receiver asks: [Router.ETRN] and [Router.ATRN] answer the commands
// of those names, and a [Fetcher] gives them, to a provider that holds mail for
// us.
//
// # The DNS
//
// Hosts are looked up when a connection is needed, through a small [Resolver]
// interface; [DNSResolver] asks name servers and keeps what they say. What the
// DNS says no to is a [DNSError]: a domain that does not exist (5.1.2), takes
// no mail (null MX, 5.1.10), has no host (5.4.4), or leads back to this relay
// (a [LoopError], 5.4.6), fails the recipient; servers that do not answer
// (4.4.3) leave the mail waiting. Package routing/dnstest has a DNS server
// for tests.
//
// # Delivery reports
//
// Reports have the null reverse-path (RFC 5321, 4.5.5). For a smart host that
// refuses it, as Amazon SES does, set Connector.ReportSender; or have reports
// go another way, by a connector with System set to SystemOnly.
//
// # Other transports
//
// SMTP is what connectors speak by default. LMTP, a command, a directory, an
// HTTP server or a Go function take the mail as well: see [Transport].
package routing
