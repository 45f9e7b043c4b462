// Command dualhomed is a gateway in two networks. It has two receive connectors,
// each bound to one address, and one queue.
//
//   - "outside" accepts mail for the organization's domain from all clients. It
//     relays for no one.
//   - "inside" accepts mail for any domain from the organization's networks. Only
//     this mail may go to the internet.
//
// Each side has its own DNS servers. The inside servers resolve the name of the
// organization's host. The outside servers resolve names of the internet. A
// failure of the servers on one side does not affect the other side.
//
//	dualhomed -inside 10.1.0.25:25 -outside 192.0.2.25:25 -networks 10.1.0.0/16 \
//		-domain example.com -organization mail.example.com \
//		-inside-dns 10.1.0.53 -outside-dns 192.0.2.53 -spool /var/spool/relay
//
//	 organization          │ gateway │            internet
//	                       │         │
//	 mail.example.com ──▶ "inside" ─┐ │
//	                       │        ├─────by MX──▶ the world
//	                       │ queue ─┤ │
//	 mail.example.com ◀─────────────┤ │
//	                       │        └─ "outside" ◀── the world
//
// The host must not forward IP packets between the two networks.
//
// SIGTERM or SIGINT stops the gateway. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	var s settings
	flag.StringVar(&s.inside, "inside", "", "`address:port` of this gateway in the organization's network; required")
	flag.StringVar(&s.outside, "outside", "", "`address:port` of this gateway on the internet; required. Mail to the internet leaves from this\naddress")
	flag.StringVar(&s.networks, "networks", "", "`networks` of the organization, whose machines may send mail to any domain, as\n10.1.0.0/16,10.2.0.0/16; required")
	flag.StringVar(&s.domain, "domain", "", "`domain` of the organization; required")
	flag.StringVar(&s.organization, "organization", "", "`host[:port]` that takes the mail for -domain, a name or an address; required. The default port\nis 25")
	flag.StringVar(&s.insideDNS, "inside-dns", "", "DNS `servers` for the organization's host, as host or host:port, separated by commas; default:\nthose of the system")
	flag.StringVar(&s.outsideDNS, "outside-dns", "", "DNS `servers` for the internet, as host or host:port, separated by commas; default: those of\nthe system")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("dualhomed", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
