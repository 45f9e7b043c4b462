// Command perimeter is a relay in the perimeter network (DMZ), between the
// internet and the bridgehead of an organization behind the firewall. It holds
// no mailbox and knows no user's password.
//
//   - From the internet it takes mail for the organization's domains alone, and
//     hands it to the bridgehead. With -recipients it refuses unknown mailboxes
//     itself, so that no report about spam goes to innocent people.
//   - From the bridgehead it takes mail for everywhere, looks up the MX and
//     delivers.
//
// As in
//
//	perimeter -listen :25 -domains example.com,example.org -bridgehead 10.1.0.25 \
//		-recipients /etc/relay/recipients -spool /var/spool/relay
//
//	internet       ║  perimeter network      ║      organization
//	               ║                         ║
//	the world ──▶  ║  ┌──▶ for our domains ──║──▶ bridgehead ──▶ mailboxes
//	               ║  relay                  ║
//	the world ◀──  ║  └─◀─ for all domains ◀─║─── bridgehead ◀── users
//	               ║                         ║
//	            firewall                  firewall
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
	flag.Func("domains", "the organization's `domains`, with commas", s.setDomains)
	flag.Func("bridgehead", "`address[:port]` of the organization's bridgehead", s.setBridgehead)
	flag.Func("recipients", "`file` with the organization's mailboxes, one address a line; read anew when it changes", s.readRecipients)
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.Func("dns", "`servers` of the DNS, with commas; default those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "`port` of the hosts that the DNS names; anything but 25 is for trying out")
	flag.Parse()
	os.Exit(gateway.Main("perimeter", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
