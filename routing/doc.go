// Package routing is the send side of a relay. It chooses a send connector
// for each recipient, finds the hosts, and delivers the mail to them.
//
// A [Connector] is a send connector. It has address spaces, restrictions and a
// schedule. It sends to smart hosts, or to hosts that it finds by DNS. A
// [Table] is a set of connectors that was validated as a whole. It chooses
// among them as Exchange does. A [Router] uses a Table and is the Deliverer of
// a queue.Queue.
//
//	table, err := routing.NewTable(
//		routing.Connector{
//			Name:       "organization",
//			Spaces:     []string{"example.com"},
//			SmartHosts: routing.SmartHosts("10.0.0.5", "10.0.0.6"),
//			Exclusive:  true, // never use the connector "internet" instead
//		},
//		routing.Connector{Name: "internet", Spaces: []string{"*;10"}}, // MX hosts
//	)
//	if err != nil { ... } // names the connector and the field
//	router := &routing.Router{Table: table, Hostname: "relay.example.com"}
//	q := &queue.Queue{Store: store, Deliverer: router}
//	...
//	router.Close()
//
// # How a connector is chosen
//
// The router chooses a connector for each recipient by the recipient's domain.
// A connector is not eligible if it is disabled, if the message is out of its
// scope or too large for it, or if its restrictions exclude the message. Among
// the eligible connectors, the most specific address space wins ("example.com"
// before "*.example.com" before "*.com" before "*"). If several are equally
// specific, the lowest cost wins, then the first name in alphabetical order.
// [Router.Explain] returns the decision for a hypothetical message with all
// reasons. It can also look up the hosts and test the connections to them.
//
// If no connector is eligible, the first rule that applies decides:
//
//   - A matching connector would accept the message, but is disabled: the mail
//     waits (4.4.4) until a connector is eligible.
//   - The message is too large for a matching connector: the recipient fails
//     with 5.3.4.
//   - The restrictions of a matching connector exclude the message: the
//     recipient fails with 5.7.1.
//   - No connector matches: the mail waits (4.4.4).
//
// If a domain is listed in [Site].Domains and has a connector of its own, the
// router never delivers its mail by a connector for "*" or by DNS. That mail
// would come back to this relay.
//
// # When hosts are down
//
// Mail waits in the queue of the connector that was chosen for it. If none of
// the hosts of that connector can be reached, the router tries its Fallback,
// and then the other connectors that match. A reply from a host of an
// alternative connector is final. A DNS error or a routing error for an
// alternative connector is ignored: the mail waits until it can be delivered by
// the connector that was chosen for it. The router does not try alternatives if
// it reached a host but the TLS of the host does not satisfy the TLS policy.
// For an Exclusive connector, only the Fallback and the connectors with an
// equally specific address space are alternatives. Set Exclusive for mail that
// must reach only the servers of a partner or of your own organization.
//
// # Mail that is held until a client requests it
//
// A connector can run during certain hours only (see [Schedule]). It can also
// hold its mail until the receiver requests it: [Router.ETRN] and
// [Router.ATRN] answer the SMTP commands of the same names. A [Fetcher] sends
// these commands, or the obsolete TURN, to a provider that holds mail for this
// relay. The mail of a connector with OnDemand waits until an operator retries its
// queue.
//
// # The DNS
//
// The router looks up hosts when it needs a connection. It uses a [Resolver].
// [DNSResolver] is a Resolver that queries name servers and caches their
// answers. A failed lookup is a [DNSError]. The recipient fails if the domain
// does not exist (5.1.2), accepts no mail (null MX, 5.1.10) or has no host
// (5.4.4). The recipient also fails if the best host of the domain is this
// relay ([LoopError], 5.4.6). If the name servers do not answer or report a
// failure (4.4.3), the mail waits. Package routing/dnstest contains a DNS
// server for tests.
//
// # Delivery reports
//
// Delivery reports have the null reverse-path (RFC 5321, 4.5.5). If a smart
// host refuses the null reverse-path, as Amazon SES does, set
// Connector.ReportSender. You can also send reports by a separate connector
// with SystemMessages set to SystemOnly.
//
// # Live sessions
//
// [Router.Sessions], [Router.Watch], [Router.EndSession] and [Router.Counters] do
// for all connectors together what the same methods of smtpclient.Transport do
// for one.
//
// # Other transports
//
// Connectors use SMTP by default. A connector can also use LMTP, a command, a
// directory, an HTTP server or a Go function: see [Transport].
package routing
