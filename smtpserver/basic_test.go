package smtpserver_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestFirstConversation(t *testing.T) {
	srv := smtptest.NewServer(t, nil)
	smtptest.Talk(t, srv.Addr, `
		S: 220 test.example ESMTP
		C: EHLO client.example
		S: 250 PIPELINING
		C: MAIL FROM:<alice@example.com> SIZE=100 BODY=8BITMIME
		C: RCPT TO:<bob@example.net>
		C: RCPT TO:<"carol x"@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;carol+2Bx@example.net
		C: DATA
		S: 250 2.1.0
		S: 250 2.1.5
		S: 250 2.1.5
		S: 354
		C: Subject: hello
		C: 
		C: ..stuffed
		C: .
		S: 250 2.0.0 Ok: queued as
		C: QUIT
		S: 221 2.0.0
		EOF
	`)
	m := srv.Inbox.Next(t)
	if want := "Subject: hello\r\n\r\n.stuffed\r\n"; m.Text != want {
		t.Errorf("content %q, want %q", m.Text, want)
	}
	if m.From != "alice@example.com" || len(m.Recipients) != 2 || m.Recipients[1].Addr != `"carol x"@example.net` {
		t.Errorf("envelope %+v", m.Message)
	}
	if o := m.Recipients[1].Options; o.OriginalRecipient != "carol+x@example.net" || len(o.Notify) != 2 {
		t.Errorf("options %+v", o)
	}
	if m.Protocol != "ESMTP" {
		t.Errorf("protocol %q", m.Protocol)
	}
}
