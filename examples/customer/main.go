// Command customer is the relay of a small office whose provider stores its
// mail. On a schedule it requests the mail from the provider and delivers it to
// the office's mail server.
//
//   - With -method atrn (RFC 2645) it logs in, and the mail comes over the same
//     connection. It needs no listener, no fixed address and no open port in the
//     firewall.
//   - With -method etrn (RFC 1985) the provider connects to -listen.
//
// If the office's mail server refuses a message, the sender gets a report
// through the provider. The relay sends no other mail to the internet.
//
//	customer -provider mail.provider.example -user branch -password-file /etc/relay/password \
//		-domains branch.example -server 10.0.0.5 -every 10m -schedule "Mon-Fri 07:00-19:00" \
//		-spool /var/spool/relay
//
//	                                  ║  office
//	                         ◀─ ATRN ─╫───
//	the world ──▶ provider ▣          ║    customer ──▶ mail server 10.0.0.5
//	                         ── mail ─╫──▶
//	                              firewall
//
// The other side is the command provider.
//
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	var s settings
	flag.StringVar(&s.provider, "provider", "", "`host[:port]` of the provider; required. The default port is 25")
	flag.StringVar(&s.method, "method", "atrn", "`method` that requests the mail: atrn or etrn")
	flag.StringVar(&s.user, "user", "", "`account` at the provider; required")
	flag.StringVar(&s.passwordFile, "password-file", "", "`file` whose first line is the password of -user; required")
	flag.StringVar(&s.roots, "roots", "", "PEM `file` of the authorities that may have signed the provider's certificate; default:\nthose of the system")
	flag.StringVar(&s.domains, "domains", "", "`domains` of the office, separated by commas; required")
	flag.StringVar(&s.server, "server", "", "`host[:port]` of the office's mail server, a name or an address; required. The default port is 25")
	flag.DurationVar(&s.every, "every", 15*time.Minute, "`time` between two requests, as 10m; at least 1s")
	flag.StringVar(&s.schedule, "schedule", "always", "`times` when mail is requested, in local time, as \"Mon-Fri 07:00-19:00; Sat 08:00-12:00\"")
	flag.StringVar(&s.listen, "listen", "", "`address` to listen on, as :25; required with etrn, default: no listener")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.StringVar(&s.dns, "dns", "", "DNS `servers` as host or host:port, separated by commas; default: those of the system")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("customer", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
