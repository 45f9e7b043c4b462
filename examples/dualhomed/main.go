// Command dualhomed is a gateway with a foot in two networks: two receive
// connectors, each bound to one address, over one queue.
//
//   - "outside" takes mail for the organization's domain from everybody, and
//     relays for nobody.
//   - "inside" takes mail for everywhere from the organization's machines. Only
//     what came in there may leave to the internet.
//
// Hosts inside are looked up in the DNS of the inside and the world in that of
// the outside, so neither sees the other's questions nor its failures.
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
// The host must not forward IP packets between the two networks. SIGTERM ends
// the command: what is in hand is finished, what waits stays in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	var s settings
	flag.StringVar(&s.inside, "inside", "", "`address:port` in the organization's network")
	flag.StringVar(&s.outside, "outside", "", "`address:port` in the internet's")
	flag.StringVar(&s.networks, "networks", "", "the organization's `networks`, whose machines may write to everybody, as 10.1.0.0/16,10.2.0.0/16")
	flag.StringVar(&s.domain, "domain", "", "the organization's `domain`")
	flag.StringVar(&s.organization, "organization", "", "`host[:port]` that takes the domain's mail, a name or an address")
	flag.StringVar(&s.insideDNS, "inside-dns", "", "`servers` that know the hosts inside, with commas; default those of the system")
	flag.StringVar(&s.outsideDNS, "outside-dns", "", "`servers` that know the internet, with commas; default those of the system")
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.Parse()
	os.Exit(gateway.Main("dualhomed", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
