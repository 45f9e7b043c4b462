// Command bridgehead is the one server of an organization that speaks with the
// internet, from behind the firewall. The member servers, which have the
// mailboxes, send through it and receive from it.
//
//   - mail for a member's domain goes to that member, whoever sent it;
//   - mail for *.mil goes to one partner's host, under TLS with a certificate
//     that is the host's: never in the clear, never to anybody else. While
//     that cannot be had it waits;
//   - mail for all other domains goes to the internet, by DNS; only the
//     members may send it.
//
// As in
//
//	bridgehead -member example.com=10.1.0.5 -member berlin.example.com=10.2.0.5 \
//		-partner mx.army.mil -spool /var/spool/relay
//
//	members                          ║
//	                                 ║
//	10.1.0.5 ◀──▶ ┐                  ║ ┌── * ──by MX──▶ the world
//	example.com   ├──▶ bridgehead ───╫─┤
//	10.2.0.5 ◀──▶ ┘        ▲         ║ └── *.mil ──TLS──▶ mx.army.mil
//	berlin.example.com     └─────────╫──── the world
//	                              firewall
//
// SIGTERM ends it: what is in hand is finished, what waits stays in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on")
	flag.Func("member", "`domain=address[:port]` of a member server and what it has the mailboxes of; may come several times", s.addMember)
	flag.StringVar(&s.partner, "partner", "", "`host[:port]` that takes all mail for the partner's domains")
	flag.StringVar(&s.space, "partner-domains", "*.mil", "the partner's `domains`, as *.example.net or example.net")
	flag.Func("partner-roots", "PEM `file` of the authorities that the partner's certificate may come from; default the system's", s.readRoots)
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.Func("dns", "`servers` of the DNS, with commas; default those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "`port` of the hosts that the DNS names; anything but 25 is for trying out")
	flag.Parse()
	os.Exit(gateway.Main("bridgehead", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
