// Command perimeter is a relay in the perimeter network (DMZ), between the
// internet and an organization's bridgehead behind the firewall. It has no
// mailboxes and no passwords.
//
//   - From the internet it accepts only mail for the organization's domains and
//     sends it to the bridgehead. With -recipients it refuses unknown mailboxes
//     itself, so that no report about spam goes to a forged sender.
//   - From the bridgehead it accepts mail for any domain and delivers it by MX.
//
// While the bridgehead is down, its mail waits. When disk space runs short, mail
// from the internet is deferred first.
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
	flag.Func("domains", "`domains` of the organization, separated by commas; required", s.setDomains)
	flag.Func("bridgehead", "IP `address[:port]` of the organization's bridgehead; required. The default port is 25", s.setBridgehead)
	flag.Func("recipients", "`file` with the organization's mailboxes, one address a line; read again when it changes.\nDefault: the bridgehead refuses unknown mailboxes", s.readRecipients)
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.Func("dns", "DNS `servers` as host or host:port, separated by commas; default: those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("perimeter", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
