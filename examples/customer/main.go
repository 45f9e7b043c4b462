// Command customer is the relay of a small office whose provider holds its
// mail: on a schedule it asks for the mail, and hands it to the office's own
// mail server.
//
//   - -method atrn (RFC 2645): it logs in, and the mail comes over the same
//     connection. It listens nowhere; the office may have any address, and a
//     firewall that lets nobody in.
//   - -method etrn (RFC 1985): the provider connects to -listen.
//
// As in
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
// What its mail server refuses is reported to the sender, through the provider;
// nothing else is sent.
//
// SIGTERM ends it: what is in hand is finished, what waits stays in the spool.
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
	flag.StringVar(&s.provider, "provider", "", "`host[:port]` that holds our mail")
	flag.StringVar(&s.method, "method", "atrn", "how to ask for it: `atrn` or etrn")
	flag.StringVar(&s.user, "user", "", "our `account` there")
	flag.StringVar(&s.passwordFile, "password-file", "", "`file` with the account's password, on one line")
	flag.StringVar(&s.roots, "roots", "", "PEM `file` of the authorities that the provider's certificate may come from; default the system's")
	flag.StringVar(&s.domains, "domains", "", "our `domains`, with commas")
	flag.StringVar(&s.server, "server", "", "`host[:port]` of our mail server, a name or an address")
	flag.DurationVar(&s.every, "every", 15*time.Minute, "how `often` to ask")
	flag.StringVar(&s.schedule, "schedule", "always", "`when` to ask at all, as \"Mon-Fri 07:00-19:00; Sat 08:00-12:00\"")
	flag.StringVar(&s.listen, "listen", "", "`address` to listen on, for etrn")
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.StringVar(&s.dns, "dns", "", "`servers` of the DNS, with commas; default those of the system")
	flag.Parse()
	os.Exit(gateway.Main("customer", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
