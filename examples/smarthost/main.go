// Command smarthost is an internal relay for machines that cannot log in:
// printers, scanners, alarm systems, SharePoint.
//
// It accepts mail only from the networks of -allow, and refuses all other
// clients. It sends mail to an upstream server, to which it can log in with a
// password or with OAuth, or by MX. It accepts the deviations of old
// machines, each by a flag, and raises an alarm when no mail gets through.
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
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("smarthost", func() program.Gateway { return new(smarthost) }) }
