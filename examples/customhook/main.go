// Command customhook is a relay with an application's own policy. The policy is
// three agents:
//
//   - ask.go asks an HTTP service about each recipient.
//   - tag.go marks mail that comes from outside.
//   - canary.go routes a part of the mail to a new mail system.
//
// The relay accepts mail for one domain from all clients. From the networks of
// -allow it accepts mail for any domain.
//
//	customhook -domain example.com -allow 10.1.0.0/16 -ask http://127.0.0.1:8080/mail \
//		-old mail.example.com -new new.example.com -percent 10 -spool /var/spool/relay
//
//	            HTTP service
//	                 ▲ client, sender, recipient?
//	                 │ accept, refuse, defer
//	world ──SMTP──▶ relay ──▶ queue ─┬─▶ old system
//	                 │               └─▶ new system: 10 % of the mailboxes
//	                 └─ X-Origin: external
//
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
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
	flag.StringVar(&s.domain, "domain", "", "`domain` whose mail the relay accepts from all clients; required")
	flag.Func("allow", "`networks` whose machines may send mail to any domain, as 10.1.0.0/16,192.0.2.7; default: none", s.setAllow)
	flag.StringVar(&s.ask, "ask", "", "http or https `URL` of the service that is asked about each recipient; required")
	flag.StringVar(&s.old, "old", "", "`host[:port]` of the old mail system; required. The default port is 25")
	flag.StringVar(&s.new, "new", "", "`host[:port]` of the new mail system; required. The default port is 25")
	flag.IntVar(&s.percent, "percent", 0, "`share` of the mailboxes of -domain whose mail goes to the new system, in percent, 0 to 100 (default 0)")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.Func("dns", "DNS `servers` as host or host:port, separated by commas; default: those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("customhook", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
