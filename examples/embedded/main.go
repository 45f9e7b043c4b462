// Command embedded is a web service that sends its own mail. It sends a welcome
// message to each new account, through a queue in the same process. It needs no
// SMTP server beside the service.
//
//	embedded -listen 127.0.0.1:8080 -from "Example <hello@example.com>" -spool /var/spool/embedded
//	curl -i -d email=carol@example.net http://127.0.0.1:8080/accounts
//	curl http://127.0.0.1:8080/accounts/carol@example.net
//
// The first request is answered when the message is safe on disk, not when it is
// delivered. So the service does not wait for a mail server that is slow or down,
// and a crash loses no message. The second request returns the state of the
// message: waiting, delivered or failed, with the reply of the mail server.
//
//	browser ──HTTP──▶ service ──Submit──▶ queue ──SMTP──▶ the MX of example.net
//	                     ▲                  │
//	                     └──── events ──────┘
//
// SIGTERM or SIGINT stops the service. Active delivery attempts may finish within
// 8 seconds. Waiting messages stay in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
)

// settings are the values of the flags.
type settings struct {
	console                                       console.Flags
	listen, from, hostname, spool, smartHost, dns string
	port                                          int
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` that the web service listens on")
	flag.StringVar(&s.from, "from", "", "`sender` of the mail, as \"Example <hello@example.com>\"; required. Delivery reports go to its\naddress")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this host in EHLO and in reports; default: the host name of the system")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.StringVar(&s.smartHost, "smarthost", "", "`host[:port]` that takes all mail, the default port is 25; default: delivery by MX")
	flag.StringVar(&s.dns, "dns", "", "DNS `servers` as host or host:port, separated by commas; default: those of the system")
	flag.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("embedded", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		svc, err := newService(&s, log)
		if err != nil {
			return nil, err
		}
		return svc.mailer, nil
	}))
}
