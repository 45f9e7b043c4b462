package smtpserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// generous are Limits without a limit on protocol errors.
func generous() *smtpserver.Server {
	return &smtpserver.Server{Limits: smtpserver.Limits{ProtocolErrors: -1, Tarpit: -1}}
}

func TestOneMessage(t *testing.T) {
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

// Every command in every state (RFC 5321, 4.1.4 and 4.3.2).
func TestSequence(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, `
		S: 220
		# Before a greeting.
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 Say EHLO or HELO first
		C: RCPT TO:<b@example.com>
		S: 503 5.5.1
		C: DATA
		S: 503 5.5.1
		C: BDAT 6 LAST
		C: QUIT
		S: 503 5.5.1
		C: AUTH PLAIN
		S: 503 5.5.1
		C: NOOP
		S: 250 2.0.0
		C: RSET
		S: 250 2.0.0
		C: VRFY bob
		S: 252 2.5.0
		C: HELP
		S: 214 2.0.0
		# Greeted.
		C: HELO client.example
		S: 250 test.example
		C: RCPT TO:<b@example.com>
		S: 503 5.5.1 Need MAIL
		C: DATA
		S: 503 5.5.1
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0
		# A reverse-path is known.
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1 A transaction is already open
		C: DATA
		S: 503 5.5.1 Need RCPT before DATA
		C: BDAT 0 LAST
		S: 503 5.5.1
		C: STARTTLS
		S: 503 5.5.1
		C: AUTH PLAIN
		S: 503 5.5.1
		C: RCPT TO:<b@example.com>
		S: 250 2.1.5
		# A recipient too.
		C: MAIL FROM:<a@example.com>
		S: 503 5.5.1
		C: NOOP with an argument
		S: 250
		C: VRFY bob
		S: 252
		C: RSET
		S: 250 2.0.0
		C: DATA
		S: 503
		# EHLO in mid-transaction resets.
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: EHLO again.example
		S: 250
		C: RCPT TO:<b@example.com>
		S: 503
		C: DATA
		S: 503
		# After a message a new transaction begins.
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: DATA
		S: 503
		C: RCPT TO:<b@example.com>
		S: 503
		C: MAIL FROM:<>
		S: 250
		C: QUIT
		S: 221
		EOF
	`)
	if m := srv.Inbox.Next(t); m.Text != "" || m.From != "" {
		t.Errorf("got %q from %q, want an empty message from nobody", m.Text, m.From)
	}
	if n := srv.Inbox.Len(); n != 0 {
		t.Errorf("%d more messages than were sent", n)
	}
}

func TestUnknownAndUnimplemented(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: XYZZY
		S: 500 5.5.2 Command unknown
		C: 
		S: 500 5.5.2
		C: EHL
		S: 500 5.5.2
		R: "\tMAIL FROM:<a@example.com>\r\n"
		S: 500 5.5.2
		C: TURN
		S: 502 5.5.1
		C: SEND FROM:<a@example.com>
		S: 502 5.5.1
		C: SOML FROM:<a@example.com>
		S: 502
		C: SAML FROM:<a@example.com>
		S: 502
		C: EXPN list
		S: 502 5.5.1
		C: ETRN example.com
		S: 502
		C: ATRN
		S: 502
		C: STARTTLS
		S: 502
		C: AUTH PLAIN AGEAYg==
		S: 502
		C: LHLO client.example
		S: 500 5.5.1
		C: VRFY
		S: 501 5.5.4
		C: RSET now
		S: 501 5.5.4
		C: QUIT now
		S: 501 5.5.4
		C: quit
		S: 221
		EOF
	`)
}

func TestGreetingSyntax(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO
		S: 501 5.5.4
		C: HELO
		S: 501
		C: MAIL FROM:<a@example.com>
		S: 503
		C: EHLO two words
		S: 250 test.example greets two%20words
		C: EHLO <evil>
		S: 250 test.example greets %3Cevil%3E
		C: EHLO [192.0.2.1]
		S: 250 test.example greets [192.0.2.1]
		C: HELO WINDOWS_PC
		S: 250
		C: EHLO [IPv6:2001:db8::1]
		S: 250 8BITMIME
		C: QUIT
		S: 221
	`)
}

// The server replies to lines that are not SMTP commands and does not execute
// them. It reads the next line correctly.
func TestBadLines(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		# A bare LF ends no command.
		R: "NOOP\nNOOP\r\n"
		S: 500 5.5.2
		S: 250
		R: "NOOP\rQUIT\r\n"
		S: 500 5.5.2
		R: "NO\x00OP\r\n"
		S: 500 5.5.2
		R: "NOOP \x1b[31m\r\n"
		S: 500 5.5.2
		R: "\r\n"
		S: 500 5.5.2
		R: "NOOP \t \r\n"
		S: 250
		C: QUIT
		S: 221
	`)
}

// The server replies that a line is too long, whether the line fits into the
// buffer or not. It reads the next line correctly.
func TestLongLines(t *testing.T) {
	for _, n := range []int{3000, 300_000} {
		srv := smtptest.NewServer(t, generous())
		smtptest.Talk(t, srv.Addr, fmt.Sprintf(`
			S: 220
			R: %q
			S: 500 5.5.2 Line is too long
			C: NOOP
			S: 250
		`, "NOOP "+strings.Repeat("x", n)+"\r\n"))
	}
}

// After too many errors, the server replies 421 and closes the connection.
func TestTooManyErrors(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{ProtocolErrors: 2}})
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: FOO
		C: BAR
		C: BAZ
		C: QUIT
		S: 500
		S: 500
		S: 500
		S: 421 4.7.0 Too many errors
		EOF
	`)
}
