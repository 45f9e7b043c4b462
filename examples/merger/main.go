// Command merger is the gateway of two organizations that merge. Each has its
// own mail system. The two systems are called "ours" and "theirs". When the
// merger progresses, restart the gateway with another value of -share:
//
//   - none: two domains. Mail for each domain goes to its own system.
//   - names: users of their system get addresses in our domain too. The file of
//     -names lists them. A recipient that is on neither system is refused.
//   - unresolved: no list of their users is necessary. Mail for recipients that
//     our system does not have goes to their system, which refuses unknown
//     recipients.
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
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	flag.StringVar(&s.ours, "ours", "", "our `domain`, which their system may share; required")
	flag.StringVar(&s.ourServer, "our-server", "", "`host[:port]` of our mail system; required. The default port is 25")
	flag.Func("recipients", "`file` with the mailboxes on our system, one address a line; read again when it changes; required", directory(&s.recipients))
	flag.StringVar(&s.theirs, "theirs", "", "their `domain`; required")
	flag.StringVar(&s.theirServer, "their-server", "", "`host[:port]` of their mail system; required. The default port is 25")
	flag.StringVar(&s.share, "share", "none", "which `addresses` in our domain are on their system: none, names (those of -names) or\nunresolved (all that are not in -recipients)")
	flag.Func("names", "`file` with their mailboxes in our domain, one address a line; read again when it changes;\nrequired with -share names", directory(&s.names))
	flag.Func("allow", "`networks` of both systems' servers, which may send mail to any domain, as 10.1.0.5,10.9.0.5;\ndefault: none", s.setAllow)
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.Func("dns", "DNS `servers` as host or host:port, separated by commas; default: those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("merger", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
