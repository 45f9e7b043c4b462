// Command bridgehead is the only server of an organization that exchanges mail
// with the internet. It is behind the firewall. The member servers have the
// mailboxes; they send and receive through it.
//
//   - Mail for a member's domain goes to that member, from any sender.
//   - Mail for the partner's domains, *.mil by default, goes only to the
//     partner's host, over TLS with a certificate for the name of that host. If
//     the certificate is wrong or the host is down, the mail waits.
//   - Mail for all other domains is delivered by MX. Only the members may send
//     it.
//   - Only the members can ask for reports of success (DSN). The server does
//     not announce the extension to others.
//
// For example:
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
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
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
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	flag.Func("member", "`domain=address[:port]` of a member server: the domain of its mailboxes and its IP address. The\ndefault port is 25. Repeat the flag for each member; at least one is required", s.addMember)
	flag.StringVar(&s.partner, "partner", "", "`host[:port]` that takes all mail for -partner-domains; required. The default port is 25")
	flag.StringVar(&s.space, "partner-domains", "*.mil", "address `space` of the partner, as *.example.net or example.net")
	flag.Func("partner-roots", "PEM `file` of the authorities that may have signed the partner's certificate; default: those of\nthe system", s.readRoots)
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.Func("dns", "DNS `servers` as host or host:port, separated by commas; default: those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("bridgehead", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
