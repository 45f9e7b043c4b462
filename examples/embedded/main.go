// Command embedded is a web service that sends its own mail: it welcomes who
// signs up, through a queue in the same process. There is no SMTP server, and
// nothing to install beside the service.
//
//	embedded -listen 127.0.0.1:8080 -from "Example <hello@example.com>" -spool /var/spool/embedded
//	curl -i -d email=carol@example.net http://127.0.0.1:8080/accounts
//	curl http://127.0.0.1:8080/accounts/carol@example.net
//
// The first answer comes when the mail is safe on disk, not when it has
// arrived: a mail server that is down or slow costs the service nothing, and a
// crash loses nothing. The second one tells what has become of it.
//
//	browser ──HTTP──▶ service ──Submit──▶ queue ──SMTP──▶ the MX of example.net
//	                     ▲                  │
//	                     └──── events ──────┘
//
// SIGTERM ends it: what is in hand is finished, what waits stays in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

type settings struct {
	listen, from, hostname, spool, smartHost, dns string
	port                                          int
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` of the web service")
	flag.StringVar(&s.from, "from", "", "`sender` of the mail, as \"Example <hello@example.com>\"; what cannot be delivered is reported there")
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.StringVar(&s.smartHost, "smarthost", "", "`host[:port]` that takes all mail; default is to deliver by the DNS")
	flag.StringVar(&s.dns, "dns", "", "`servers` of the DNS, with commas; default those of the system")
	flag.IntVar(&s.port, "port", 25, "`port` of the hosts that the DNS names; anything but 25 is for trying out")
	flag.Parse()
	os.Exit(gateway.Main("embedded", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		svc, err := newService(&s, log)
		if err != nil {
			return nil, err
		}
		return svc.mailer, nil
	}))
}
