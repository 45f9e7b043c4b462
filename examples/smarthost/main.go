// Command smarthost is an internal relay for machines that cannot log in:
// printers, scanners, alarm systems, SharePoint.
//
// It accepts mail only from the networks of -allow, and refuses all other
// clients. It sends all mail to one upstream server, to which it can log in
// with a password or an OAuth token.
//
//	smarthost -listen 10.1.0.25:25 -allow 10.1.0.0/16 -upstream smtp.example.net:587 \
//		-user relay@example.com -password-file /etc/relay/password -spool /var/spool/relay
//
//	printer ───┐
//	scanner ───┼──SMTP──▶ smarthost ──TLS, AUTH──▶ upstream ──▶ the world
//	SharePoint ┘            queue
//
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
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
	flag.StringVar(&s.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	flag.Func("allow", "`networks` whose machines may send mail to any domain, as 10.1.0.0/16,192.0.2.7; required", func(list string) (err error) {
		s.allow, err = policy.ParseNetworks(list)
		return err
	})
	flag.StringVar(&s.upstream, "upstream", "", "`host[:port]` that takes all mail; required. The default port is 25; on port 465 TLS\nbegins with the first byte")
	flag.StringVar(&s.reportSender, "report-sender", "", "`address` that delivery reports are sent from, for an upstream that refuses the null\nreverse-path, as Amazon SES does; default: the null reverse-path")
	flag.StringVar(&s.spool, "spool", "", "`folder` of the queue; required")
	flag.StringVar(&s.hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	flag.TextVar(&s.tls, "tls", smtpclient.TLSDefault, "minimum TLS `level` to the upstream: none, opportunistic, encrypt, certificate, domain, dane;\n\"default\" is domain with -user and opportunistic without it")
	flag.StringVar(&s.user, "user", "", "`account` of this relay at the upstream; needs -password-file or -token-file")
	flag.StringVar(&s.passwordFile, "password-file", "", "`file` whose first line is the password of -user; read at start")
	flag.StringVar(&s.tokenFile, "token-file", "", "`file` whose first line is an OAuth access token of -user (XOAUTH2, OAUTHBEARER); read\nfor each session")
	flag.StringVar(&s.logs, "logs", "", "`folder` of the protocol logs and the tracking log; default: logs in the folder of -spool")
	s.console.Define(flag.CommandLine)
	flag.Parse()
	os.Exit(gateway.Main("smarthost", flag.Args(), os.Stderr, func(log *slog.Logger) (gateway.Runner, error) {
		return newRelay(&s, log, os.Stderr)
	}))
}
