// Command merger is the gateway of two organizations that merge. Each has its
// own mail system. The two systems are called "ours" and "theirs". As the
// merger progresses, change -share; a reload is enough:
//
//   - none: two domains. Mail for each domain goes to its own system.
//   - names: users of their system get addresses in our domain too. The file of
//     -names lists them. A recipient that is on neither system is refused.
//   - unresolved: no list of their users is necessary. Mail for recipients that
//     our system does not have goes to their system, which refuses unknown
//     recipients.
//
// The file of -aliases has aliases, contacts and lists. With -ldap, the directory of
// the organizations has the mailboxes, groups and contacts; an attribute of an entry
// can name the system that has its mailbox, and mail of both systems can leave with
// the primary addresses of its senders.
//
// Mail of both systems for other domains is delivered by MX.
//
//	merger -ours example.com -our-server 10.1.0.5 -recipients /etc/relay/ours \
//		-theirs example.org -their-server 10.9.0.5 -share names -names /etc/relay/theirs \
//		-allow 10.1.0.5,10.9.0.5 -spool /var/spool/relay
//
//	                          ┌─ alice@example.com ─────▶ our system   10.1.0.5
//	the world ──▶ gateway ──▶ ┤
//	                 │        └─ all of example.org ────▶ their system 10.9.0.5
//	                 │           bob@example.com (-share names, unresolved)
//	                 │
//	the world ◀──────┴─ by MX, for both systems
//
// With -share unresolved, their system must not send mail for unknown recipients
// back to the gateway. That would be a mail loop.
//
// SIGTERM or SIGINT stops the gateway. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("merger", func() program.Gateway { return new(merger) }) }
