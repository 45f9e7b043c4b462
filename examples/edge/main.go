// Command edge is the Edge Transport role in front of an existing organization:
// the only server that exchanges mail with the internet. It has four connectors:
//
//   - From the internet (receive): all clients may send to the accepted domains,
//     through the filters.
//   - From the organization (receive): its servers may send to any domain. They
//     are known by their address (externally secured), or log in over TLS (basic
//     authentication).
//   - To the internet (send): address space * with cost 10, by MX.
//   - To the organization (send): address space "--", which means all accepted
//     domains, by several smart hosts. Each of them gets a part of the mail.
//
// For example:
//
//	edge -config /etc/edge/edge.yaml
//
//	the internet                 edge                      the organization
//
//	                 ┌──────────────────────────┐
//	  clients ──▶ :25│ internet ─▶ filters ─┐   │ -- ──┬──▶ 10.0.0.5
//	                 │                      ├─▶ spool ──┴──▶ 10.0.0.6
//	MX hosts ◀── * ──│ organization ────────┘   │
//	                 └──────▲───────────────────┘
//	                        └─ :2526 ── 10.0.0.5, 10.0.0.6: by address,
//	                                    or by account over TLS
//
// The file edge.yaml explains each setting. Its settings are also flags: spf in the
// section filters is -filters.spf.
//
// SIGTERM or SIGINT stops edge. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { command.Main() }

var command = program.Program{
	Name: "edge", New: func() program.Gateway { return new(edge) }, ReadFile: yamlfile.Read, Config: "edge.yaml",
}
