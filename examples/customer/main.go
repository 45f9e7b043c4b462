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
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("customer", func() program.Gateway { return new(customer) }) }
