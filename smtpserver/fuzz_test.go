package smtpserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// FuzzSession sends raw bytes to a server and checks what must always be true:
//
//   - nothing panics, and the session ends when the client's input does;
//   - the output of the server is a sequence of well-formed replies;
//   - the server accepts no more messages than the input has ends of data, each
//     with a sender and recipients that the server accepted;
//   - no message contains a bare CR, a bare LF or a NUL, except with
//     BINARYMIME;
//   - the events come in an order that the state machine allows.
func FuzzSession(f *testing.F) {
	hello := "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
	for _, s := range []string{
		"", "QUIT\r\n", hello + "DATA\r\nx\r\n.\r\nQUIT\r\n",
		hello + "BDAT 5\r\nhelloBDAT 0 LAST\r\nMAIL FROM:<>\r\nRSET\r\n",
		hello + "DATA\r\na\n.\nMAIL FROM:<evil@b>\r\n.\r\nRCPT TO:<x@y>\r\n",
		hello + "DATA\r\n\r\n..\r\n.\r\n" + hello + "BDAT 3 LAST\r\na\rb",
		"EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 4 LAST\r\na\x00\r\nNOOP\r\n",
		"EHLO c\r\nAUTH PLAIN AGEAYg==\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\n*\r\n",
		"HELO c\r\nVRFY x\r\nEXPN y\r\nHELP\r\nETRN z\r\nXCLIENT ADDR=1.2.3.4\r\nSTARTTLS\r\n",
		"XCLIENT ADDR=1.2.3.4 LOGIN=x\r\nEHLO d\r\nMAIL FROM:<\"a b\"@c> SIZE=5 RET=FULL ENVID=x SMTPUTF8\r\nRCPT TO:<é@d> NOTIFY=NEVER ORCPT=utf-8;x\r\n",
		"\x00\r\n\r\n\n\n" + strings.Repeat("x", 5000) + "\r\nNOOP\r\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, input []byte, lax bool) {
		c := &inputConn{in: input, closed: make(chan struct{})}
		w := &witness{t: t, input: input}
		srv := &smtpserver.Server{
			Hostname: "test.example", Agents: []smtpserver.Agent{w.agent()}, Handler: w,
			Auth: wonderland(), AllowInsecureAuth: true, AllowEarlyInput: lax, XClientFrom: loopback,
			Enable: smtpserver.ExtBinaryMIME | smtpserver.ExtDeliverBy | smtpserver.ExtMTPriority | smtpserver.ExtFutureRelease,
			Limits: smtpserver.Limits{ProtocolErrors: -1, Tarpit: -1, MessageSize: 2000, MemoryContent: 100, MessageRate: -1, UnknownRecipients: -1, AuthFailures: -1},
		}
		l := &oneConn{c: c, closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		select {
		case <-c.closed:
		case <-time.After(20 * time.Second):
			t.Error("the session does not end")
		}
		srv.Close()
		if err := <-served; !errors.Is(err, smtpserver.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if n := srv.Counters().Panics; n != 0 {
			t.Errorf("%q: %d panics", input, n)
		}
		checkReplies(t, input, c.out.Bytes())
		ends := bytes.Count(input, []byte(".\r\n")) + bytes.Count(bytes.ToUpper(input), []byte("LAST"))
		if w.messages > ends {
			t.Errorf("%q: %d messages of %d ends", input, w.messages, ends)
		}
	})
}

// witness is an agent and Handler that watches the order of events.
type witness struct {
	t        testing.TB
	input    []byte
	state    string
	rcpts    int
	messages int
}

func (w *witness) must(event string, states ...string) {
	for _, s := range states {
		if w.state == s {
			return
		}
	}
	w.t.Errorf("%q: %s after %q", w.input, event, w.state)
}

func (w *witness) agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name: "witness",
		Connect: func(context.Context, *smtpserver.Session) error {
			w.must("Connect", "", "disconnected")
			w.state = "connected"
			return nil
		},
		Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
			w.must("Helo", "connected", "greeted", "reset")
			w.state = "greeted"
			return nil
		},
		Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			w.must("Mail", "greeted", "reset")
			if s.Helo() == "" || s.Message() == nil {
				w.t.Errorf("%q: MAIL without a greeting or message", w.input)
			}
			w.state, w.rcpts = "mail", 0
			return nil
		},
		Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			w.must("Rcpt", "mail")
			if to == "" || strings.ContainsAny(to, "\r\n\x00") {
				w.t.Errorf("%q: recipient %q", w.input, to)
			}
			w.rcpts++
			return nil
		},
		Data: func(context.Context, *smtpserver.Session) error {
			w.must("Data", "mail")
			if w.rcpts == 0 {
				w.t.Errorf("%q: Data without recipients", w.input)
			}
			w.state = "data"
			return nil
		},
		EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
			w.must("EndOfHeaders", "data")
			w.state = "header"
			return nil
		},
		EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
			w.must("EndOfData", "header")
			w.state = "end"
			return nil
		},
		Reset: func(context.Context, *smtpserver.Session) {
			w.must("Reset", "mail", "data", "header", "end", "received")
			w.state = "reset"
		},
		Disconnect: func(context.Context, *smtpserver.Session) {
			w.must("Disconnect", "connected", "greeted", "reset")
			w.state = "disconnected"
		},
	}
}

func (w *witness) Receive(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
	w.must("Receive", "end")
	w.state = "received"
	w.messages++
	b := make([]byte, m.Content().Size())
	if _, err := m.Content().ReadAt(b, 0); err != nil && len(b) > 0 {
		w.t.Errorf("%q: %v", w.input, err)
	}
	bare := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	if bytes.ContainsAny(bare, "\r\n\x00") && m.Options.Body != smtp.BodyBinaryMIME {
		w.t.Errorf("%q: bare bytes in %q", w.input, b)
	}
	if len(m.Recipients) == 0 || len(m.Recipients) != w.rcpts {
		w.t.Errorf("%q: %d recipients, %d accepted", w.input, len(m.Recipients), w.rcpts)
	}
	return "", m.Close()
}

func checkReplies(t *testing.T, input, out []byte) {
	for len(out) > 0 {
		i := bytes.Index(out, []byte("\r\n"))
		if i < 0 {
			t.Fatalf("%q: reply without end: %q", input, out)
		}
		l := out[:i]
		ok := len(l) >= 4 && len(l) <= 510 && l[0] >= '2' && l[0] <= '5' && (l[3] == ' ' || l[3] == '-')
		for _, c := range l {
			ok = ok && c >= ' ' && c <= '~'
		}
		if !ok {
			t.Fatalf("%q: reply line %q", input, l)
		}
		out = out[i+2:]
	}
}

// oneConn is a listener with one connection.
type oneConn struct {
	c      net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.c; c != nil {
		l.c = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// inputConn is a client that sends its input in small parts, and reads all
// output.
type inputConn struct {
	in     []byte
	out    bytes.Buffer
	most   int // of what was written at once
	once   sync.Once
	closed chan struct{}
}

func (c *inputConn) Read(b []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+len(c.in)/2)], c.in)
	c.in = c.in[n:]
	return n, nil
}
func (c *inputConn) Write(b []byte) (int, error) {
	c.most = max(c.most, len(b))
	return c.out.Write(b)
}
func (c *inputConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
func (c *inputConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }
func (c *inputConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1025}
}
func (c *inputConn) SetDeadline(time.Time) error      { return nil }
func (c *inputConn) SetReadDeadline(time.Time) error  { return nil }
func (c *inputConn) SetWriteDeadline(time.Time) error { return nil }
