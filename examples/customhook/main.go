// Command customhook is a relay with an application's own policy, made of three
// agents:
//
//   - one that asks an HTTP service about each recipient (ask.go)
//   - one that tags what comes from outside (tag.go)
//   - one that routes a part of the mail to a new system (canary.go)
//
// It takes mail for one domain, and from the networks of -allow to everywhere:
//
//	customhook -domain example.com -allow 10.1.0.0/16 -ask http://127.0.0.1:8080/mail \
//		-old mail.example.com -new new.example.com -percent 10 -spool /var/spool/relay
//
//	            HTTP service
//	                 ▲ who writes to whom?
//	                 │ accept, refuse, defer
//	world ──SMTP──▶ relay ──▶ queue ─┬─▶ old system
//	                 │               └─▶ new system: 10 % of the mailboxes
//	                 └─ X-Origin: external
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
	flag.StringVar(&s.domain, "domain", "", "`domain` that mail is accepted for")
	flag.Func("allow", "`networks` whose machines may write to everybody, as 10.1.0.0/16,192.0.2.7", s.setAllow)
	flag.StringVar(&s.ask, "ask", "", "`URL` of the service that is asked about each recipient")
	flag.StringVar(&s.old, "old", "", "`host[:port]` of the mail system")
	flag.StringVar(&s.new, "new", "", "`host[:port]` of the new one")
	flag.IntVar(&s.percent, "percent", 0, "how much of the domain's mail goes to the new system")
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.Func("dns", "`servers` of the DNS, with commas; default those of the system", s.setDNS)
	flag.IntVar(&s.port, "port", 25, "`port` of the hosts that the DNS names; anything but 25 is for trying out")
	flag.Parse()
	os.Exit(gateway.Main("customhook", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log)
	}))
}
