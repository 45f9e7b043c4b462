// Command submission takes mail from users, who log in, and sends it to the world:
// the server for the mail programs of POP and IMAP users (RFC 6409).
//
//	submission -accounts /etc/submission/accounts -users /etc/submission/users -domain example.com \
//		-cert /etc/submission/cert.pem -key /etc/submission/key.pem -spool /var/spool/submission
//
// It listens on port 587, where TLS begins with STARTTLS, and on port 465, where TLS
// begins with the first byte (RFC 8314). Nothing is accepted before the login, and a
// login needs TLS. Accounts come from a file, from an LDAP server, or from Dovecot.
// Each account may use its own addresses, and has limits.
//
//	                 accounts: file, LDAP or Dovecot
//	                              │
//	mail program ──587, 465──▶ submission ──▶ the world, by MX
//	                           queue, DKIM └─▶ or a smart host
//
// SIGTERM or SIGINT stops the relay. Active sessions and delivery attempts may
// finish within 8 seconds. Waiting messages stay in the spool.
package main

import (
	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile"
)

func main() { yamlfile.Main("submission", func() program.Gateway { return new(submission) }) }
