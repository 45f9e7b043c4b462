package smtpserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const openTransaction = `
	S: 220
	C: EHLO client.example
	S: 250 CHUNKING
	C: MAIL FROM:<a@example.com>
	S: 250
	C: RCPT TO:<b@example.net>
	S: 250
`

func TestBDAT(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, openTransaction+`
		R: "BDAT 13\r\nSubject: x\r\n\r"
		S: 250 2.0.0 13 bytes
		C: DATA
		S: 503 5.5.1 Only BDAT or RSET
		C: RCPT TO:<c@example.net>
		S: 503 5.5.1
		C: NOOP
		S: 250
		C: BDAT 0
		S: 250
		# Dots are not stuffed, a lone one ends nothing.
		R: "BDAT 10\r\n\nbody\r\n.\r\nBDAT 0 last\r\n"
		S: 250 2.0.0 10 bytes
		S: 250 2.0.0 Ok: queued
	`)
}

func TestBDATContent(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	smtptest.Talk(t, srv.Addr, openTransaction+`
		R: "BDAT 13\r\nSubject: x\r\n\r"
		S: 250
		R: "BDAT 11\r\n\nb..dy\r\n.\r\nBDAT 0 LAST\r\n"
		S: 250 2.0.0 11 bytes
		S: 250 2.0.0 Ok: queued
		# The whole of a transaction in one write.
		R: "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nBDAT 5 LAST\r\n.\r\n\r\nQUIT\r\n"
		S: 250
		S: 250
		S: 250 2.0.0 Ok: queued
		S: 221
		EOF
	`)
	for _, want := range []string{"Subject: x\r\n\r\nb..dy\r\n.\r\n", "\r\n.\r\n\r\n"} {
		if got := srv.Inbox.Next(t).Text; got != want {
			t.Errorf("content %q, want %q", got, want)
		}
	}
}

func TestBDATRefusals(t *testing.T) {
	small := func() *smtpserver.Server {
		s := generous()
		s.Limits.MessageSize = 20
		return s
	}
	for _, c := range []struct {
		name   string
		srv    *smtpserver.Server
		script string
	}{
		{"without recipients the chunk is still read", generous(), `
			S: 220
			C: EHLO client.example
			S: 250
			C: MAIL FROM:<a@example.com>
			S: 250
			R: "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"
			S: 503 5.5.1
			S: 250
			C: RCPT TO:<bad>
			S: 501
			R: "BDAT 6 LAST\r\nQUIT\r\n"
			S: 554 5.5.1 No valid recipients`},
		{"a refused chunk while the client continues to send", small(), openTransaction + `
			R: "BDAT 15\r\nX: 1234567890\r\nBDAT 8\r\n\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"
			S: 250
			S: 552 5.3.4
			S: 503 5.5.1
			S: 250
			C: MAIL FROM:<a@example.com>
			S: 250`},
		{"a long batch of chunks after the refused one", &smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 4}}, openTransaction + `
			R: "BDAT 3\r\nxxx` + strings.Repeat(`BDAT 2\r\nxx`, 20) + `NOOP\r\n"
			S: 250
			S: 552` + strings.Repeat("\nS: 503", 19) + `
			S: 250`},
		{"a chunk larger than any message", small(), openTransaction + `
			R: "BDAT 21\r\n"
			S: 552 5.3.4
			EOF`},
		{"RSET between chunks", generous(), openTransaction + `
			R: "BDAT 4\r\nX: 1"
			S: 250
			C: RSET
			S: 250
			R: "BDAT 6 LAST\r\nQUIT\r\n"
			S: 503
			C: MAIL FROM:<a@example.com>
			S: 250
			C: RCPT TO:<b@example.net>
			S: 250
			R: "BDAT 8 LAST\r\nY: 123\r\n"
			S: 250`},
		{"after a wrong size the session ends", generous(), openTransaction + `
			C: BDAT many
			S: 501 5.5.4
			EOF`},
		{"a negative size", generous(), openTransaction + `
			C: BDAT -1 LAST
			S: 501
			EOF`},
		{"a size that is too large for any integer", generous(), openTransaction + `
			C: BDAT 99999999999999999999
			S: 552 5.3.4
			EOF`},
		{"bare LF and CR in a text message", generous(), openTransaction + `
			R: "BDAT 9\r\nX: 1\r\n\r\na"
			S: 250
			R: "BDAT 3 LAST\r\nb\nc"
			S: 550 5.6.11
			C: MAIL FROM:<a@example.com>
			S: 250
			C: RCPT TO:<b@example.net>
			S: 250
			R: "BDAT 9 LAST\r\nX: 1\r\n\r\n\r"
			S: 550 5.6.11 Message has a bare CR`},
		{"switched off", &smtpserver.Server{Disable: smtpserver.ExtChunking}, `
			S: 220
			C: EHLO client.example
			S: 250
			C: MAIL FROM:<a@example.com>
			S: 250
			C: RCPT TO:<b@example.net>
			S: 250
			R: "BDAT 6 LAST\r\nQUIT\r\n"
			S: 502 5.5.1
			EOF`},
		{"DATA for BINARYMIME", &smtpserver.Server{Enable: smtpserver.ExtBinaryMIME}, `
			S: 220
			C: EHLO client.example
			S: 250 BINARYMIME
			C: MAIL FROM:<a@example.com> BODY=BINARYMIME
			S: 250
			C: RCPT TO:<b@example.net>
			S: 250
			C: DATA
			S: 503 5.5.1 BODY=BINARYMIME needs BDAT`},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := smtptest.NewServer(t, c.srv)
			smtptest.Talk(t, srv.Addr, c.script)
		})
	}
}

// With BINARYMIME, the content may have any bytes.
func TestBinaryMIME(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Enable: smtpserver.ExtBinaryMIME})
	body := strings.Repeat("\x00\r\n.\r\n\n\r\xff", 20_000)
	smtptest.Talk(t, srv.Addr, fmt.Sprintf(`
		S: 220
		C: EHLO client.example
		S: 250 BINARYMIME
		C: MAIL FROM:<a@example.com> BODY=BINARYMIME
		S: 250
		C: RCPT TO:<b@example.net>
		S: 250
		R: %q
		S: 250
		S: 250
	`, fmt.Sprintf("BDAT 8\r\nX: y\r\n\r\nBDAT %d LAST\r\n%s", len(body), body)))
	if got := srv.Inbox.Next(t).Text; got != "X: y\r\n\r\n"+body {
		t.Errorf("%d bytes came out of %d, or not the same", len(got), len(body)+8)
	}
}
