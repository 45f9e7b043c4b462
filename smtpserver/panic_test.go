package smtpserver_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// If an agent or the Handler panics, the server logs it and ends only that
// session, with 421.
func TestPanics(t *testing.T) {
	boom := func() { panic("boom") }
	for _, c := range []struct {
		name   string
		agent  smtpserver.Agent
		script string
	}{
		{"connect", smtpserver.Agent{Connect: func(context.Context, *smtpserver.Session) error { boom(); return nil }}, "S: 421 4.3.0\nEOF"},
		{"rcpt", smtpserver.Agent{Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error { boom(); return nil }}, `
			S: 220
			C: HELO x
			S: 250
			C: MAIL FROM:<>
			S: 250
			C: RCPT TO:<b@example.com>
			S: 421 4.3.0
			EOF`},
		{"end of headers", smtpserver.Agent{EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { boom(); return nil }}, strings.ReplaceAll(send("X: y\r\n\r\n.\r\n", "421 4.3.0"), "C: QUIT\n\t\tS: 221\n", "")},
		{"reset", smtpserver.Agent{Reset: func(context.Context, *smtpserver.Session) { boom() }}, "S: 220\nC: HELO x\nS: 250\nC: MAIL FROM:<>\nS: 250\nC: QUIT\nS: 221"},
		{"reject", smtpserver.Agent{Reject: func(context.Context, *smtpserver.Session, *smtp.SMTPError) { boom() }}, "S: 220\nC: FOO\nS: 421 4.3.0\nEOF"},
		{"disconnect", smtpserver.Agent{Disconnect: func(context.Context, *smtpserver.Session) { boom() }}, "S: 220\nC: QUIT\nS: 221"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			s := generous()
			c.agent.Name = "bomber"
			s.Agents = []smtpserver.Agent{c.agent}
			s.Logger = slog.New(slog.NewTextHandler(&log, nil))
			srv := smtptest.NewServer(t, s)
			smtptest.Talk(t, srv.Addr, c.script)
			srv.Close()
			if !strings.Contains(log.String(), "panic=boom") || !strings.Contains(log.String(), "agent=bomber") {
				t.Errorf("log: %s", log.String())
			}
			if n := srv.Counters().Panics; n != 1 {
				t.Errorf("%d panics counted", n)
			}
		})
	}
	t.Run("reject, of a connection too many", func(t *testing.T) {
		srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{Connections: 1, OverloadPercent: -1},
			Agents: []smtpserver.Agent{{Reject: func(context.Context, *smtpserver.Session, *smtp.SMTPError) { boom() }}}})
		dialRaw(t, srv.Addr).expect("220")
		smtptest.Talk(t, srv.Addr, "S: 421 4.3.0")
	})
	t.Run("protocol log", func(t *testing.T) {
		srv := smtptest.NewServer(t, &smtpserver.Server{ProtocolLog: bomb{}})
		smtptest.Talk(t, srv.Addr, "EOF")
		smtptest.Talk(t, srv.Addr, "EOF")
	})
	t.Run("handler", func(t *testing.T) {
		srv := smtptest.NewServer(t, &smtpserver.Server{Handler: smtpserver.HandlerFunc(
			func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) {
				boom()
				return "", nil
			})})
		smtptest.Talk(t, srv.Addr, strings.ReplaceAll(send("X: y\r\n\r\n.\r\n", "421 4.3.0"), "C: QUIT\n\t\tS: 221\n", ""))
	})
}

// bomb is a protocol log that panics.
type bomb struct{}

func (bomb) Log(smtpserver.ProtocolEvent) { panic("boom") }

// If an agent panics in Reset, the server still releases the memory and the
// file of the message.
func TestPanicInReset(t *testing.T) {
	var file *os.File
	s := generous()
	s.Limits.MemoryContent = 10
	s.ContentFile = func() (f *os.File, err error) {
		file, err = os.CreateTemp(t.TempDir(), "")
		return file, err
	}
	s.Agents = []smtpserver.Agent{{Reset: func(context.Context, *smtpserver.Session) { panic("at reset") }}}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: BDAT 31
		R: "X: y\r\n\r\nmore than ten bytes\r\n\r\n"
		S: 250
		C: RSET
		S: 421
		EOF
	`)
	srv.Close()
	if file == nil || file.Close() == nil {
		t.Errorf("the file %v was left open", file)
	}
	if n := smtpserver.ContentMemory(srv.Server); n != 0 {
		t.Errorf("%d bytes of content are still counted", n)
	}
}
