// Command cluster is one of several relays (nodes) with one queue in a PostgreSQL
// database. Any node can fail: the others deliver its mail.
//
//   - Mail for a domain of -domain goes to its mail server, from any sender.
//   - The machines of -allow may send to any domain. This mail is delivered by MX, or
//     with -upstream to one smart host.
//
// All nodes have the same settings, except -node and -state, and usually run on
// different machines. One MX record names all of them:
//
//	example.com.     MX 10 mx.example.com.
//	mx.example.com.  A  192.0.2.1   ; node a
//	mx.example.com.  A  192.0.2.2   ; node b
//
// For example, on the first machine:
//
//	cluster -node a -hostname mx.example.com -domain example.com=10.1.0.5 \
//		-allow 10.1.0.0/16 -database postgres://relay@db.example.com/mail \
//		-database-password /etc/cluster/password -state /var/lib/cluster
//
//	              ┌─▶ node a ─┐
//	the world ─MX─┤     │     ├──▶ 10.1.0.5, the mail server of example.com
//	10.1.0.0/16 ──┤   queue   │
//	              └─▶ node b ─┴──▶ the world, for the machines of -allow
//	                    │
//	                PostgreSQL (primary, standby)
//
// SIGTERM or SIGINT stops a node. Active sessions and delivery attempts may finish
// within 8 seconds. The other nodes deliver the messages that wait.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("cluster", func() program.Gateway { return new(cluster) }) }
