// Command perimeter is a relay in the perimeter network (DMZ), between the
// internet and an organization's bridgehead behind the firewall. It has no
// mailboxes and no passwords.
//
//   - From the internet it accepts only mail for the organization's domains and
//     sends it to the bridgehead. With -recipients it refuses unknown mailboxes
//     itself, so that no report about spam goes to a forged sender.
//   - From the bridgehead it accepts mail for any domain and delivers it by MX.
//
// While the bridgehead is down, its mail waits. When the disk is nearly full, mail
// from the internet is deferred before mail from the bridgehead.
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
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("perimeter", func() program.Gateway { return new(perimeter) }) }
