// Command provider stores mail for customers that are not always connected, and
// delivers it when they request it.
//
//   - With ETRN (RFC 1985) the mail goes to the host that is configured for the
//     customer, never to the client that sent ETRN.
//   - With ATRN (RFC 2645) the mail goes back over the customer's own
//     connection. So the customer needs neither a fixed address nor an open
//     port. The obsolete TURN (RFC 821) does the same, for all domains of the
//     customer.
//
// A customer logs in over TLS and gets only its own mail. Without a login, ATRN and
// TURN are refused. A customer may also send mail to any domain, from addresses in its
// own domains.
//
//	provider -customers /etc/relay/customers -cert /etc/relay/cert.pem -key /etc/relay/key.pem \
//		-spool /var/spool/relay
//
// The file of -customers has one line for each customer: account, password,
// domains, and the host that takes the mail after ETRN. If the line has no
// host, the mail goes to the MX hosts of each domain. Only the relay should be
// able to read the file.
//
// If a customer is removed from the file, the mail for it waits until -keep is over.
// If the MX records of its domain name other hosts by then, they get the mail.
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
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("provider", func() program.Gateway { return new(provider) }) }
