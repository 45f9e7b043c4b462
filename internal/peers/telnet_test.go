package peers

import (
	"crypto/tls"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const typed = `
	C: EHLO client.test
	S: 250 PIPELINING
	C: MAIL FROM:<someone@example.net>
	S: 250 2.1.0
	C: RCPT TO:<alice@example.com>
	S: 250 2.1.5
	C: DATA
	S: 354
	C: Subject: typed
	C:
	C: R and Q are letters to be typed
	C: Quite so
	C: .
	S: 250 2.0.0
	C: NONSENSE
	S: 500
	C: QUIT
	S: 221
	EOF
`

// Typed mail arrives unchanged, with and without TLS.
func TestTelnet(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{smtptest.Certificate(t, "mail.test")}}})
	smtptest.TalkOn(t, Telnet(t, srv.Addr), "S: 220"+typed)
	smtptest.TalkOn(t, SecureTelnet(t, srv.Addr), typed)
	for _, protocol := range []string{"ESMTP", "ESMTPS"} {
		const want = "Subject: typed\r\n\r\nR and Q are letters to be typed\r\nQuite so\r\n"
		if m := srv.Inbox.Next(t); m.Text != want || m.Protocol != protocol {
			t.Errorf("by %s, want %s:\n%q", m.Protocol, protocol, m.Text)
		}
	}
}
