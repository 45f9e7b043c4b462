// Command provider stores mail for customers that are not always connected, and
// delivers it when they request it.
//
//   - With ETRN (RFC 1985) the mail goes to the host that is configured for the
//     customer, never to the client that sent ETRN.
//   - With ATRN (RFC 2645) the mail goes back over the customer's own
//     connection. So the customer needs neither a fixed address nor an open
//     port.
//
// A customer logs in over TLS and gets only its own mail. It may also send mail
// to any domain, from addresses in its own domains.
//
//	provider -customers /etc/relay/customers -cert /etc/relay/cert.pem -key /etc/relay/key.pem \
//		-spool /var/spool/relay
//
// The file of -customers has one line for each customer: account, password,
// domains, and the host that takes the mail after ETRN. If the line has no
// host, the mail goes to the MX hosts of each domain. Only the relay should be
// able to read the file.
//
//	# account  password     domains                      host[:port]
//	branch     sesame-4711  branch.example,shop.example  192.0.2.25
//	boat       ahoy-0815    boat.example
//
//	the world ──▶ provider ──┬─ branch.example ▣ ──ETRN──▶ 192.0.2.25
//	                 │       └─ boat.example   ▣ ══ATRN══▶ back over the boat's own connection
//	                 │
//	the world ◀──────┴─ by MX: mail from customers, and reports
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
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	flag.StringVar(&s.customers, "customers", "", "`file` with one line for each customer: account, password, domains and, for ETRN,\nhost[:port]; required")
	flag.StringVar(&s.cert, "cert", "", "PEM `file` with the certificate of this relay; required")
	flag.StringVar(&s.key, "key", "", "PEM `file` with the key of -cert; required")
	flag.DurationVar(&s.keep, "keep", 7*24*time.Hour, "queue lifetime of a customer's mail, a `duration` as 168h; after it the sender gets a report")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.StringVar(&s.dns, "dns", "", "DNS `servers` as host or host:port, separated by commas; default: those of the system")
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("provider", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
