package gateway_test

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/trace/audit"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A logDisk is a file on a disk that may be full.
type logDisk struct {
	syncBuffer
	full atomic.Bool
}

func (d *logDisk) Write(p []byte) (int, error) {
	if d.full.Load() {
		return 0, syscall.ENOSPC
	}
	return d.syncBuffer.Write(p)
}

// The Logger of a gateway gets one line when a log of its Closers loses lines because the
// disk is full, and one when the log is written again. Mail continues, and the gateway
// ends without an error.
func TestLossOfLogsIsLogged(t *testing.T) {
	var sessions, decisions logDisk
	received, trails := smtpserver.NewProtocolLog(&sessions), audit.NewLog(&decisions)
	a := &audit.Audit{Sink: trails.Add}
	r := newRelay(t)
	srv := r.Listeners[0].Server
	srv.ProtocolLog, srv.Agents, srv.Handler = received, a.Wrap(srv.Agents), a.Handler(srv.Handler)
	r.Closers = append(r.Closers, received, trails)
	stop := r.run(t)
	send := func() {
		t.Helper()
		c := r.dial(t)
		smtptest.TalkOn(t, c, `S: 220
			C: HELO client.example.net
			S: 250
			C: MAIL FROM:<alice@example.net>
			S: 250
			C: RCPT TO:<bob@example.com>
			S: 250
			C: DATA
			S: 354
			C: Subject: x
			C:
			C: Hello.
			C: .
			S: 250
			C: QUIT
			S: 221
			EOF`)
		c.Close()
		received.Flush()
	}
	send()
	for _, d := range []*logDisk{&sessions, &decisions} {
		d.full.Store(true)
	}
	send()
	send()
	for _, text := range []string{`level=ERROR msg="protocol log cannot be written"`, `level=ERROR msg="audit log cannot be written"`} {
		if n := strings.Count(r.logged(), text); n != 1 {
			t.Errorf("%d lines with %s, want 1:\n%s", n, text, r.logged())
		}
	}
	for _, d := range []*logDisk{&sessions, &decisions} {
		d.full.Store(false)
	}
	send()
	for _, text := range []string{`level=INFO msg="protocol log is written again" lost_lines=`, `level=INFO msg="audit log is written again" lost_trails=2 errors=2`} {
		if n := strings.Count(r.logged(), text); n != 1 {
			t.Errorf("%d lines with %s, want 1:\n%s", n, text, r.logged())
		}
	}
	if got := sessions.String(); strings.Count(got, "\n#Dropped: ") != 1 {
		t.Errorf("the protocol log has no mark:\n%s", got)
	}
	if got := decisions.String(); !strings.Contains(got, "\n#Dropped: 2 trails before ") || strings.Count(got, ": accepted\n") != 2 {
		t.Errorf("the audit log:\n%s", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
