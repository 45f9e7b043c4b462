// Command dualhomed is a gateway in two networks. It has two receive connectors,
// each bound to one address, and one queue.
//
//   - "outside" accepts mail for the organization's domain from all clients. It
//     relays for no one.
//   - "inside" accepts mail for any domain from the organization's networks. Only
//     this mail may go to the internet.
//
// Each side has its own DNS servers. The inside servers resolve the name of the
// organization's host. The outside servers resolve names of the internet. A
// failure of the servers on one side does not affect the other side.
//
//	dualhomed -inside 10.1.0.25:25 -outside 192.0.2.25:25 -networks 10.1.0.0/16 \
//		-domain example.com -organization mail.example.com \
//		-inside-dns 10.1.0.53 -outside-dns 192.0.2.53 -spool /var/spool/relay
//
//	 organization          │ gateway │            internet
//	                       │         │
//	 mail.example.com ──▶ "inside" ─┐ │
//	                       │        ├─────by MX──▶ the world
//	                       │ queue ─┤ │
//	 mail.example.com ◀─────────────┤ │
//	                       │        └─ "outside" ◀── the world
//
// The host must not forward IP packets between the two networks.
//
// SIGTERM or SIGINT stops the gateway. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("dualhomed", func() program.Gateway { return new(dualhomed) }) }
