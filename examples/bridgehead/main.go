// Command bridgehead is the only server of an organization that exchanges mail
// with the internet. It is behind the firewall. The member servers have the
// mailboxes; they send and receive through it.
//
//   - Mail for a member's domain goes to that member, from any sender.
//   - Mail for the partner's domains, *.mil by default, goes only to the
//     partner's host, over TLS with a certificate for the name of that host. If
//     the certificate is wrong or the host is down, the mail waits.
//   - Mail for all other domains is delivered by MX. Only the members may send
//     it.
//   - Only the members can ask for reports of success (DSN). The server does
//     not announce the extension to others.
//
// For example:
//
//	bridgehead -member example.com=10.1.0.5 -member berlin.example.com=10.2.0.5 \
//		-partner mx.army.mil -spool /var/spool/relay
//
//	members                          ║
//	                                 ║
//	10.1.0.5 ◀──▶ ┐                  ║ ┌── * ──by MX──▶ the world
//	example.com   ├──▶ bridgehead ───╫─┤
//	10.2.0.5 ◀──▶ ┘        ▲         ║ └── *.mil ──TLS──▶ mx.army.mil
//	berlin.example.com     └─────────╫──── the world
//	                              firewall
//
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("bridgehead", func() program.Gateway { return new(bridgehead) }) }
