// Command customer is the relay of a small office whose provider stores its
// mail. On a schedule it requests the mail from the provider and delivers it to
// the office's mail server.
//
//   - With -method atrn (RFC 2645) it logs in, and the mail comes over the same
//     connection. It needs no listener, no fixed address and no open port in the
//     firewall. -method turn (RFC 821) does the same with old providers.
//   - With -method etrn (RFC 1985) the provider connects to -listen.
//
// With -listen and -allow, the hosts of the office send their mail to the
// internet through the relay and the provider: at once, at the times of
// -send-schedule, or on demand. If the office's mail server refuses a message, the
// sender gets a report through the provider.
//
//	customer -provider mail.provider.example -user branch -password-file /etc/relay/password \
//		-domains branch.example -server 10.0.0.5 -every 10m -schedule "Mon-Fri 07:00-19:00" \
//		-listen 10.0.0.25:25 -allow 10.0.0.0/24 -send-schedule "07:00-19:00" -spool /var/spool/relay
//
//	                                  ║  office
//	                         ◀─ ATRN ─╫───
//	the world ──▶ provider ▣ ── mail ─╫──▶ customer ──▶ mail server 10.0.0.5
//	the world ◀── provider   ◀─ mail ─╫─── customer ◀── hosts of -allow
//	                              firewall
//
// The other side is the command provider.
//
// On SIGUSR1, the relay requests mail and sends the mail that waits, at once. Send
// it when the line to the provider is up.
//
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() {
	kept := &kept{up: lineUp()} // before anything else, because the signal ends a process by default
	yamlfile.Main("customer", func() program.Gateway { return &customer{kept: kept} })
}
