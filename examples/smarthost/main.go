// Command smarthost is an internal relay for printers, scanners, alerting and
// SharePoint: machines that cannot authenticate, in networks that are named,
// may send to the whole world through an upstream that wants credentials.
// Nobody else may send anything.
//
//	smarthost -listen 10.1.0.25:25 -allow 10.1.0.0/16 -upstream smtp.example.net:587 \
//		-user relay@example.com -password-file /etc/relay/password -spool /var/spool/relay
//
// SIGTERM ends it: what is in hand is finished, what waits stays in the spool.
package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on")
	flag.Func("allow", "`networks` whose machines may relay, as 10.1.0.0/16,192.0.2.7", func(list string) (err error) {
		s.allow, err = policy.ParseNetworks(list)
		return err
	})
	flag.StringVar(&s.upstream, "upstream", "", "`host:port` that takes all mail; port 465 is TLS from the first byte")
	flag.StringVar(&s.reportSender, "report-sender", "", "`address` to send delivery reports from, for an upstream that refuses the null\nreverse-path (Amazon SES); a mailbox that somebody reads")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue")
	flag.StringVar(&s.hostname, "hostname", "", "our own `name`; default the system's")
	flag.TextVar(&s.tls, "tls", smtpclient.TLSDefault, "TLS `level` to the upstream: none, opportunistic, encrypt, certificate, domain;\ndefault is domain with credentials, opportunistic without")
	flag.StringVar(&s.user, "user", "", "our `account` at the upstream")
	flag.StringVar(&s.passwordFile, "password-file", "", "`file` with the account's password, on one line")
	flag.StringVar(&s.tokenFile, "token-file", "", "`file` with an OAuth access token instead (XOAUTH2, OAUTHBEARER); read anew for each session")
	flag.StringVar(&s.logs, "logs", "", "`folder` of the protocol and tracking logs; default SPOOL/logs")
	flag.Parse()
	os.Exit(gateway.Main("smarthost", flag.Args(), os.Stderr, func(_ *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, os.Stderr)
	}))
}
