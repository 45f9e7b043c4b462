package smtptest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const message = `
	S: 220 test.example ESMTP
	C: EHLO client.example
	S: 250 PIPELINING
	C: MAIL FROM:<a@example.com>
	C: RCPT TO:<b@example.net>
	C: RCPT TO:<c@example.net>
	C: DATA
	S: 250 2.1.0
	S: 250 2.1.5
	S: 250
	S: 354
	# The content and the final dot.
	R: "Subject: x\r\n\r\nbody\r\n.\r\n"
	S: 250 2.0.0 Ok
	C: QUIT
	S: 221
	EOF
`

func TestTalkAndInbox(t *testing.T) {
	srv := NewServer(t, nil)
	Talk(t, srv.Addr, message)
	m := srv.Inbox.Next(t)
	if m.Text != "Subject: x\r\n\r\nbody\r\n" || m.From != "a@example.com" || !slices.Equal(m.To(), []string{"b@example.net", "c@example.net"}) {
		t.Errorf("message %+v", m)
	}
	if m.Helo != "client.example" || m.Protocol != "ESMTP" || srv.Inbox.Len() != 0 {
		t.Errorf("HELO %q, protocol %q, %d left", m.Helo, m.Protocol, srv.Inbox.Len())
	}
}

// A step that fails ends the test, and the message has the line and the reason.
func TestTalkFails(t *testing.T) {
	srv := NewServer(t, nil)
	for script, want := range map[string]string{
		"S: 554":                          `line 1, "S: 554": unexpected reply`,
		"S: 220 other.example":            "unexpected reply",
		"S: 220\nC: QUIT\nS: 221\nS: 250": "the server closed the connection",
		"S: 220\nwhat is this":            "unknown step",
		"S: 220\nR: not quoted":           "invalid syntax",
		"S: 220\nC: NOOP\nEOF":            "instead of closing the connection",
	} {
		r := &recorder{TB: t}
		func() {
			defer func() {
				if e := recover(); e != nil && e != r {
					panic(e)
				}
			}()
			Talk(r, srv.Addr, script)
		}()
		if !strings.Contains(r.failure, want) {
			t.Errorf("%q fails with %q, want %q", script, r.failure, want)
		}
	}
}

// recorder records the failure of a test, and ends the test by a panic.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	panic(r)
}

func TestListenerFromAnyAddress(t *testing.T) {
	l := NewListener()
	inbox := NewInbox()
	srv := &smtpserver.Server{Hostname: "test.example", Handler: inbox}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	c, err := l.Dial("192.0.2.7:1025")
	if err != nil {
		t.Fatal(err)
	}
	TalkOn(t, c, "S: 220\nC: NOOP\nS: 250")
	c.Close()
	if _, err := l.Dial("nowhere"); err == nil {
		t.Error("Dial accepted the address \"nowhere\"")
	}
	srv.Close()
	<-served
	if _, err := l.Dial("192.0.2.7:1025"); err != net.ErrClosed {
		t.Errorf("Dial after Close: %v", err)
	}
}

func TestTLSStep(t *testing.T) {
	config, _ := TLSConfig(t)
	srv := NewServer(t, &smtpserver.Server{TLSConfig: config})
	c, err := net.Dial("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tc := TalkOn(t, c, "S: 220\nC: EHLO x\nS: 250 STARTTLS\nC: STARTTLS\nS: 220\nTLS\nC: EHLO x\nS: 250")
	if tc == c {
		t.Error("TalkOn did not return the TLS connection")
	}
	TalkOn(t, tc, "C: NOOP\nS: 250\nC: QUIT\nS: 221\nEOF")
}
