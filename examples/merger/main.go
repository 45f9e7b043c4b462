// Command merger is the gateway of two organizations that become one, each with
// a mail system of its own. It is restarted with another -share as the merger
// goes on:
//
//   - none: two organizations, two domains. Mail for either domain goes to its
//     own system.
//   - names: the second one's people get addresses in our domain too. Those who
//     are in the file -names are found on their system; who is on neither is
//     refused.
//   - unresolved: nobody keeps a list any more. Whoever is not found on our
//     system is passed on to theirs, which has the last word.
//
// As in
//
//	merger -ours example.com -our-server 10.1.0.5 -recipients /etc/relay/ours \
//		-theirs example.org -their-server 10.9.0.5 -share names -names /etc/relay/theirs \
//		-allow 10.1.0.5,10.9.0.5 -spool /var/spool/relay
//
//	                          ┌─ alice@example.com ─────▶ our system   10.1.0.5
//	the world ──▶ gateway ──▶ ┤
//	                 │        └─ everybody@example.org ─▶ their system 10.9.0.5
//	                 │           bob@example.com (-share names, unresolved)
//	                 │
//	the world ◀──────┴─ by MX, for both systems
//
// Their system must be the last: if it passed on whom it does not know to us,
// such mail would go in circles until its Received fields are too many.
//
// SIGTERM ends it: what is in hand is finished, what waits stays in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on")
	flag.StringVar(&s.ours, "ours", "", "our `domain`, which is to be shared")
	flag.StringVar(&s.ourServer, "our-server", "", "`host[:port]` of our mail system")
	flag.Func("recipients", "`file` with the mailboxes on our system, one address a line; read anew when it changes", directory(&s.recipients))
	flag.StringVar(&s.theirs, "theirs", "", "their `domain`")
	flag.StringVar(&s.theirServer, "their-server", "", "`host[:port]` of their mail system")
	flag.StringVar(&s.share, "share", "none", "whom their system has in our domain: `none`, names or unresolved")
	flag.Func("names", "`file` with their mailboxes in our domain, for -share names", directory(&s.names))
	flag.Func("allow", "`networks` of both systems' servers, which may write to everybody, as 10.1.0.5,10.9.0.5", s.setAllow)
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.Func("dns", "`servers` of the DNS, with commas; default those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "`port` of the hosts that the DNS names; anything but 25 is for trying out")
	flag.Parse()
	os.Exit(gateway.Main("merger", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
