// Command cluster is one of several relays (nodes) with one queue in a PostgreSQL
// database. Any node can fail: the others deliver its mail.
//
//   - Mail for a domain of -domain goes to its mail server, from any sender.
//   - The machines of -allow may send to any domain. This mail is delivered by MX, or
//     with -upstream to one smart host.
//
// All nodes have the same settings, except -node, and usually run on different
// machines. One MX record names all of them:
//
//	example.com.     MX 10 mx.example.com.
//	mx.example.com.  A  192.0.2.1   ; node a
//	mx.example.com.  A  192.0.2.2   ; node b
//
// For example, on the first machine:
//
//	cluster -node a -hostname mx.example.com -domain example.com=10.1.0.5 \
//		-allow 10.1.0.0/16 -database postgres://relay@db.example.com/mail \
//		-database-password /etc/relay/password -state /var/lib/relay
//
//	              ┌─▶ node a ─┐
//	the world ─MX─┤     │     ├──▶ 10.1.0.5, the mail server of example.com
//	10.1.0.0/16 ──┤   queue   │
//	              └─▶ node b ─┴──▶ the world, for the machines of -allow
//	                    │
//	                PostgreSQL (primary, standby)
//
// SIGHUP reads the certificate again. SIGTERM or SIGINT stops a node. Active sessions
// and delivery attempts may finish within 8 seconds. The other nodes deliver the
// messages that wait.
package main

import (
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

func main() {
	hup := make(chan os.Signal, 1) // before anything else: SIGHUP ends a process by default
	signal.Notify(hup, syscall.SIGHUP)
	var s settings
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on, as :25 or 192.0.2.1:25")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of the relay in its greeting, in EHLO and in Received, the same for all nodes; default: the\nhost name of the system")
	flag.StringVar(&s.node, "node", "", "`name` of this node, different for each; default: the host name of the system")
	flag.StringVar(&s.database, "database", "", "`URL` of the database, as postgres://relay@db.example.com/mail; required")
	flag.StringVar(&s.passwordFile, "database-password", "", "`file` whose first line is the password of the database; only its owner may read it")
	flag.BoolVar(&s.pooler, "database-pooler", false, "the database is reached through PgBouncer in transaction mode")
	flag.StringVar(&s.state, "state", "", "`folder` of this node, on a local disk: logs, and which messages are in delivery; required")
	flag.Func("domain", "`domain=host[:port]` of a domain and its mail server; the default port is 25. Repeat the flag for each\ndomain; at least one is required", s.addDomain)
	flag.Func("allow", "`networks` whose machines may send to any domain, as 10.1.0.0/16,192.0.2.7; default: none", func(list string) (err error) {
		s.allow, err = policy.ParseNetworks(list)
		return err
	})
	flag.StringVar(&s.upstream, "upstream", "", "`host[:port]` that takes the mail for other domains; default: the MX hosts of the domains")
	flag.IntVar(&s.hourly, "hourly", 0, "maximum `number` of messages of each client address in an hour, on all nodes together; default: no limit")
	flag.DurationVar(&s.beat, "beat", 5*time.Second, "`interval` in which a node reports that it is alive; the same for all nodes")
	flag.DurationVar(&s.deadAfter, "dead-after", 15*time.Second, "`time` after which the others deliver the mail of a node that does not report; the same for all nodes")
	flag.StringVar(&s.tls.cert, "cert", "", "PEM `file` with the certificate of -hostname, for STARTTLS; needs -key. SIGHUP reads both files again;\ndefault: no STARTTLS")
	flag.StringVar(&s.tls.key, "key", "", "PEM `file` with the key of -cert")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("cluster", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		go s.tls.hangups(hup, log)
		return newNode(&s, log)
	}))
}
