package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

// said is a connection that returns a fixed text.
type said struct {
	net.Conn
	io.Reader
}

func (s said) Read(p []byte) (int, error)        { return s.Reader.Read(p) }
func (s said) SetReadDeadline(t time.Time) error { return nil }

func listen(r io.Reader) *wire {
	w := &wire{ctx: context.Background()}
	w.setConn(said{Reader: r})
	return w
}

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		in   string
		code int
		enh  smtp.EnhancedCode
		text string
	}{
		{"250 ok\r\n", 250, smtp.EnhancedCode{}, "ok"},
		{"250\r\n", 250, smtp.EnhancedCode{}, ""},
		{"250 ok\n", 250, smtp.EnhancedCode{}, "ok"},
		{"250 2.1.0 Ok\r\n", 250, smtp.EnhancedCode{2, 1, 0}, "Ok"},
		{"250 2.1.0\r\n", 250, smtp.EnhancedCode{2, 1, 0}, ""},
		{"550 5.7.509 long detail\r\n", 550, smtp.EnhancedCode{5, 7, 509}, "long detail"},
		{"550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n", 550, smtp.EnhancedCode{5, 7, 1}, "one\ntwo\nthree"},
		{"550-5.7.1 one\r\n550 two\r\n", 550, smtp.EnhancedCode{5, 7, 1}, "one\ntwo"},
		{"550-5.1.1 no such user\r\n see http://example.net/\r\n550 5.1.1 bye\r\n", 550, smtp.EnhancedCode{5, 1, 1}, "no such user\n see http://example.net/\nbye"},
		{"550-no\r\n\r\n55\r\n550:x\r\n550 bye\r\n", 550, smtp.EnhancedCode{}, "no\n\n55\n550:x\nbye"},
		{"250-mx\r\n550 refused after all\r\n", 550, smtp.EnhancedCode{}, "mx\nrefused after all"},
		{"550 4.7.1 the class is not the code's\r\n", 550, smtp.EnhancedCode{}, "4.7.1 the class is not the code's"},
		{"550 5.1 no enhanced code\r\n", 550, smtp.EnhancedCode{}, "5.1 no enhanced code"},
		{"550 5.1.1234 no enhanced code\r\n", 550, smtp.EnhancedCode{}, "5.1.1234 no enhanced code"},
		{"550 5.1.1x no enhanced code\r\n", 550, smtp.EnhancedCode{}, "5.1.1x no enhanced code"},
		{"550 a\x1b[31mb\x00\xff\r\n", 550, smtp.EnhancedCode{}, "a?[31mb??"},
		{"550 größer\r\n", 550, smtp.EnhancedCode{}, "größer"},
	} {
		r, err := listen(strings.NewReader(tt.in)).readReply("TEST", time.Second)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if e := r.smtpError(); e.Code != tt.code || e.EnhancedCode != tt.enh || e.Message != tt.text {
			t.Errorf("%q: %d %v %q", tt.in, e.Code, e.EnhancedCode, e.Message)
		}
	}
}

// endless repeats a line without end.
type endless struct {
	line string
	at   int
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.line[e.at%len(e.line)]
		e.at++
	}
	e.read += len(p)
	return len(p), nil
}

// The size of a reply is limited, and the error describes what is wrong.
func TestReplyLimits(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string
	}{
		{"endless line", "x", "TEST: reply line longer than 4096 octets"},
		{"endless reply", "250-again\r\n", "TEST: reply of more than 256 lines or 32768 octets"},
		{"endless reply of long lines", "250-" + strings.Repeat("x", 2000) + "\r\n", "TEST: reply of more than 256 lines or 32768 octets"},
		{"endless reply without codes", "250-again\r\nand\r\nagain\r\n", "TEST: reply of more than 256 lines or 32768 octets"},
		{"no code", "hello there\r\n", `TEST: "hello there" is not a reply`},
		{"empty line", "\r\n", `TEST: "" is not a reply`},
		{"code of two digits", "25 ok\r\n", `TEST: "25 ok" is not a reply`},
		{"code of four digits", "2500 ok\r\n", `TEST: "2500 ok" is not a reply`},
		{"code of another world", "600 ok\r\n", `TEST: "600 ok" is not a reply`},
		{"provisional code", "150 wait\r\n", `TEST: "150 wait" is not a reply`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := &endless{line: tt.line}
			_, err := listen(host).readReply("TEST", time.Second)
			var p *ProtocolError
			if !errors.As(err, &p) || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if host.read > 64<<10 {
				t.Errorf("read %d octets", host.read)
			}
		})
	}
}

// A host that sends a reply octet by octet does not extend the timeout.
func TestSlowReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newNetwork(t).transport()
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			pipe, server := net.Pipe()
			client := &closeable{Conn: pipe, closed: make(chan struct{})}
			go func() {
				defer server.Close()
				for {
					select {
					case <-client.closed:
						return
					case <-time.After(time.Minute): // of the bubble
						io.WriteString(server, "2")
					}
				}
			}()
			return client, nil
		}
		start := time.Now()
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 451 4.4.2 ...")
		if d := time.Since(start); d != 5*time.Minute {
			t.Errorf("took %v", d)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.7.1 no\r\n", "220", "\r\n", "250-\r\n250-2.0.0 x\n250 \r\n", "999 x\r\n", "421 4.4.2 bye\r\n354 go\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		w := listen(strings.NewReader(string(in)))
		for {
			r, err := w.readReply("TEST", time.Second)
			if err != nil {
				break
			}
			if r.code < 200 || r.code > 599 || len(r.text) > maxReplyBytes+maxReplyLine {
				t.Fatalf("reply %d of %d octets", r.code, len(r.text))
			}
			e := r.smtpError()
			if e.EnhancedCode != (smtp.EnhancedCode{}) && e.EnhancedCode[0] != r.code/100 {
				t.Fatalf("code %d with %v", r.code, e.EnhancedCode)
			}
			for _, c := range fmt.Sprint(e.Message, r.public()) {
				if c < ' ' && c != '\n' && c != '\t' {
					t.Fatalf("control character in %q", e.Message)
				}
			}
			c := &Client{}
			c.setExtensions(r)
		}
	})
}
