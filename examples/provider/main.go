// Command provider holds mail for customers that are not always there, and
// releases it when they ask:
//
//   - by ETRN (RFC 1985) it goes to the host that is configured for the
//     customer, never to the one that asks;
//   - by ATRN (RFC 2645) it goes over the customer's own connection, which
//     turns round. So its address need not be known, and no firewall be open.
//
// For both the customer logs in, under TLS, and gets its own mail only. It may
// send to the world through us, too.
//
//	provider -customers /etc/relay/customers -cert /etc/relay/cert.pem -key /etc/relay/key.pem \
//		-spool /var/spool/relay
//
// The file -customers, which nobody else should be able to read, has a line for
// each, with the domains and, for ETRN, the host that takes the mail (without
// it, the MX of each domain does):
//
//	# account  password     domains                      host[:port]
//	branch     sesame-4711  branch.example,shop.example  192.0.2.25
//	boat       ahoy-0815    boat.example
//
// Who talks to whom:
//
//	the world ──▶ provider ──┬─ branch.example ▣ ──ETRN──▶ 192.0.2.25
//	                 │       └─ boat.example   ▣ ══ATRN══▶ back over the boat's own connection
//	                 │
//	the world ◀──────┴─ by MX: what customers send, and reports
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
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on")
	flag.StringVar(&s.customers, "customers", "", "`file` with the customers, a line for each: account, password, domains, host")
	flag.StringVar(&s.cert, "cert", "", "PEM `file` of our certificate")
	flag.StringVar(&s.key, "key", "", "PEM `file` of its key")
	flag.DurationVar(&s.keep, "keep", 7*24*time.Hour, "how `long` mail is held before it goes back to its sender")
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.StringVar(&s.dns, "dns", "", "`servers` of the DNS, with commas; default those of the system")
	flag.IntVar(&s.port, "port", 25, "`port` of the hosts that the DNS names; anything but 25 is for trying out")
	flag.Parse()
	os.Exit(gateway.Main("provider", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
