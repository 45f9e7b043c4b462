// Command resulttable is a relay for applications that need the result of
// each message. It writes the final result of each recipient into a table of an SQL
// database.
//
//	resulttable -allow 127.0.0.1/32,::1/128 -listen 127.0.0.1:2525 \
//		-spool /var/spool/resulttable -database /var/lib/resulttable/results.db
//
//	application ──SMTP──▶ relay ──▶ queue ──SMTP──▶ the MX of each domain
//	     ▲                            │
//	     └──── SELECT ──── database ◀─┘ FinalResults
//
// The table contains each recipient with a final result, even if the relay was killed.
// While the database is not available, mail is still delivered, and the queue keeps
// the results.
//
// SIGTERM or SIGINT stops the relay. Waiting messages and results stay in the spool.
package main

import (
	"flag"
	"log/slog"
	"net/netip"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
)

// settings are the values of the flags.
type settings struct {
	console                                           console.Flags
	listen, hostname, spool, database, smartHost, dns string
	allow                                             []netip.Prefix
	port                                              int
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:2525", "`address` to listen on")
	flag.Func("allow", "`networks` of the applications, as 127.0.0.1/32,10.1.0.0/16; required", func(v string) (err error) {
		s.allow, err = policy.ParseNetworks(v)
		return err
	})
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.StringVar(&s.database, "database", "", "`file` of the SQLite database; required")
	flag.StringVar(&s.smartHost, "smarthost", "", "`host[:port]` that takes all mail; default: delivery by MX")
	flag.StringVar(&s.dns, "dns", "", "DNS `servers`, separated by commas; default: those of the system")
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("resulttable", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
