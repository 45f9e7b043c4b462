package smtpclient

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

// newTestClient returns a Client whose host plays script.
func newTestClient(t *testing.T, cfg *Config, script string) (*network, *Client) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", script)
	conn, err := n.dial(t.Context(), "tcp", "192.0.2.1:25")
	if err != nil {
		t.Fatal(err)
	}
	if cfg == nil {
		cfg = &Config{}
	}
	cfg.Hostname = "relay.example"
	c := NewClient(conn, cfg)
	t.Cleanup(func() { c.Close() })
	return n, c
}

func TestClientSession(t *testing.T) {
	_, c := newTestClient(t, nil, `
		S: 220 mx ESMTP at your service
		C: EHLO relay.example
		S: 250-mx
		S: 250-pipelining
		S: 250-ETRN
		S: 250 Limits rcptmax=10 MAILMAX=1
		C: VRFY bob
		S: 252 2.5.0 maybe
		C: ETRN example.com
		S: 459 4.7.0 not allowed
		C: NOOP
		S: 250 2.0.0 ok
		C: RSET
		S: 250 2.0.0 ok
		`+one+`
		C: QUIT
		S: 221 2.0.0 bye
		C: <eof>`)
	ctx := t.Context()
	if err := c.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	if c.Greeting() != "mx ESMTP at your service" {
		t.Errorf("greeting %q", c.Greeting())
	}
	if p, ok := c.Extension("limits"); !ok || p != "rcptmax=10 MAILMAX=1" || len(c.Extensions()) != 3 {
		t.Errorf("extensions %v", c.Extensions())
	}
	if r, err := c.Command(ctx, "VRFY bob"); err != nil || r.Code != 252 || r.Lines[0] != "2.5.0 maybe" {
		t.Errorf("VRFY: %v, %v", r, err)
	}
	r, err := c.Command(ctx, "ETRN example.com")
	var refusal *smtp.SMTPError
	if !errors.As(err, &refusal) || refusal.EnhancedCode != (smtp.EnhancedCode{4, 7, 0}) || r.Code != 459 {
		t.Errorf("ETRN: %v, %v", r, err)
	}
	if err := c.Noop(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Reset(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Command(ctx, "NOOP\r\nQUIT"); err == nil {
		t.Error("two lines were sent as one command")
	}
	expect(t, c.Send(ctx, mail("x\r\n", "b@example.net")), "success 250 2.0.0 queued")
	if err := c.Quit(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Noop(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("NOOP after QUIT: %v", err)
	}
}

// StartTLS and Auth of a Client.
func TestClientStartTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	const hello = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\n"
	start := func(script string) (*Client, error) {
		n, c := newTestClient(t, &Config{Host: "mx1.example.net"}, script)
		n.tls = server(ca.issue(nil, "mx1.example.net"))
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c, c.StartTLS(t.Context(), ca.roots())
	}
	c, err := start(hello + "C: STARTTLS\nS: 220 go\nS: <tls>\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN " + b64("\x00alice\x00wonderland") + "\nS: 235 ok\nC: QUIT\nS: 221 bye\nC: <eof>")
	if err != nil || c.TLS() == nil || !c.proven() {
		t.Fatalf("%v, %+v", err, c.TLS())
	}
	if _, ok := c.Extension("STARTTLS"); ok {
		t.Error("extensions from before TLS are still known")
	}
	if err := c.Auth(t.Context(), PasswordAuth("alice", "wonderland")); err != nil {
		t.Error(err)
	}
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}

	var policy *TLSError
	if _, err = start("S: 220 mx\nC: EHLO relay.example\nS: 250 mx\nC: <eof>"); !errors.As(err, &policy) || !errors.Is(err, errNoSTARTTLS) {
		t.Errorf("not offered: %v", err)
	}
	var refusal *smtp.SMTPError
	c, err = start(hello + "C: STARTTLS\nS: 454 4.7.0 not now\nC: NOOP\nS: 250 ok\nC: <eof>")
	if !errors.As(err, &refusal) || c.TLS() != nil {
		t.Errorf("refused: %v", err)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Errorf("after a refusal the session is not usable: %v", err)
	}
	if _, err = start(hello + "C: STARTTLS\nS: 250 what?\nC: <eof>"); err == nil {
		t.Error("250 to STARTTLS was taken for 220")
	}
	if _, err = start(hello + "C: STARTTLS\nS: 220 go\nC: <garble>"); !errors.Is(err, errHandshake) {
		t.Errorf("garbled: %v", err)
	}
}

// Send calls Hello if the caller did not, and returns its failure.
func TestClientSendCallsHello(t *testing.T) {
	_, c := newTestClient(t, &Config{Host: "mx.example.net"}, "S: 220 mx\nC: EHLO relay.example\nS: 250 mx"+stepwise+"C: QUIT\nS: 221 bye\nC: <eof>")
	expect(t, c.Send(t.Context(), mail("x\r\n", "b@example.net")), "success 250 2.0.0 queued [mx.example.net]")
	c.Quit(t.Context())

	_, c = newTestClient(t, nil, "S: 554 5.7.1 no\nC: <eof>")
	expect(t, c.Send(t.Context(), mail("x\r\n", "b@example.net")), "unreachable 554 5.7.1 no [pipe]")
}

// LMTP replies for each recipient (RFC 2033, 4.2), and is greeted with LHLO.
func TestLMTP(t *testing.T) {
	for _, tt := range []struct {
		name, script, want string
	}{
		{"each its own", `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: RCPT TO:<c@example.net>
			C: RCPT TO:<d@example.net>
			C: RCPT TO:<e@example.net>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 250 ok
			S: 550 5.1.1 unknown
			S: 250 ok
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 for b
			S: 452 4.2.2 c is full
			S: 554 5.6.0 e hates it` + quit, `
			success 250 2.0.0 for b
			deferred 452 4.2.2 c is full
			failure 550 5.1.1 unknown
			failure 554 5.6.0 e hates it`},
		{"lost between the replies", `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: RCPT TO:<c@example.net>
			C: RCPT TO:<d@example.net>
			C: RCPT TO:<e@example.net>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 250 ok
			S: 250 ok
			S: 250 ok
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 for b
			S: 550 5.0.0 c
			S: <close>`, `
			success 250 2.0.0 for b
			failure 550 5.0.0 c
			deferred 451 4.4.2 session with ...
			deferred 451 4.4.2 session with ...`},
		{"354 without a recipient", `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: RCPT TO:<c@example.net>
			C: RCPT TO:<d@example.net>
			C: RCPT TO:<e@example.net>
			C: DATA
			S: 250 ok
			S: 550 5.1.1 b
			S: 550 5.1.1 c
			S: 550 5.1.1 d
			S: 450 4.1.1 e
			S: 354 go ahead
			C: <eof>`, `
			failure 550 5.1.1 b
			failure 550 5.1.1 c
			failure 550 5.1.1 d
			deferred 450 4.1.1 e`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTestClient(t, &Config{LMTP: true}, "S: 220 lmtp\nC: LHLO relay.example\nS: 250-lmtp\nS: 250 PIPELINING"+tt.script)
			expect(t, c.Send(t.Context(), mail("x\r\n", "b@example.net", "c@example.net", "d@example.net", "e@example.net")), tt.want)
			c.leave()
		})
	}
}

func TestForceHELO(t *testing.T) {
	_, c := newTestClient(t, &Config{ForceHELO: true}, "S: 220 mx\nC: HELO relay.example\nS: 250-mx\nS: 250 PIPELINING"+stepwise+quit)
	expect(t, c.Send(t.Context(), mail("x\r\n", "b@example.net")), "success 250 2.0.0 queued")
	c.leave()
}

// Firewalls that mangle ESMTP: the banner in asterisks, EHLO answered with
// "OK" or masked, verbs that they do not know refused (REFERENCE.md, A).
func TestFirewallThatMasksESMTP(t *testing.T) {
	for name, greeting := range map[string]string{
		"EHLO answered with OK":       "S: 220 ****************************02**0*00\nC: EHLO relay.example\nS: 250 OK",
		"EHLO unknown":                "S: 220 ****************\nC: EHLO relay.example\nS: 500 5.5.1 Command unrecognized: \"XXXX relay.example\"\nC: HELO relay.example\nS: 250 OK",
		"extensions masked":           "S: 220 ****************\nC: EHLO relay.example\nS: 250-mx\nS: 250-XXXXXXXA\nS: 250-XXXXXXXXXXXXXB\nS: 250 XXXC",
		"EHLO not implemented":        "S: 220 ****************\nC: EHLO relay.example\nS: 502 not implemented\nC: HELO relay.example\nS: 250 OK",
		"EHLO is a parameter problem": "S: 220 ****************\nC: EHLO relay.example\nS: 501 bad\nC: HELO relay.example\nS: 250 OK",
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:25", greeting+stepwise+quit)
			expect(t, n.transport().Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
		})
	}
}

// Bytes that came after the reply to ATRN are read first in the turned session.
func TestDetach(t *testing.T) {
	_, c := newTestClient(t, nil, `
		S: 220 mx
		C: EHLO relay.example
		S: 250-mx
		S: 250 ATRN
		C: ATRN example.com
		S: 250 2.0.0 now it is your turn<crlf>EHLO mx
		C: 220 relay.example`)
	if err := c.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command(t.Context(), "ATRN example.com"); err != nil {
		t.Fatal(err)
	}
	conn := c.Detach()
	defer conn.Close()
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "EHLO" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(conn, "220 relay.example\r\n"); err != nil {
		t.Error(err)
	}
}

// Each phase has its own timeout.
func TestTimeouts(t *testing.T) {
	timeouts := Timeouts{Connect: 1 * time.Second, Greeting: 2 * time.Second, Hello: 3 * time.Second, Mail: 4 * time.Second,
		Rcpt: 5 * time.Second, DataInit: 6 * time.Second, DataBlock: 7 * time.Second, DataDone: 8 * time.Second}
	for _, tt := range []struct {
		name, script string
		want         time.Duration
	}{
		{"connect", "<timeout>", timeouts.Connect},
		{"greeting", "S: <hang>", timeouts.Greeting},
		{"hello", "S: 220 mx\nC: <any>\nS: <hang>", timeouts.Hello},
		{"mail", ehlo + batch + "S: <hang>", timeouts.Mail},
		{"rcpt", ehlo + batch + "S: 250 ok\nS: <hang>", timeouts.Rcpt},
		{"data", ehlo + batch + "S: 250 ok\nS: 250 ok\nS: <hang>", timeouts.DataInit},
		// One second more, to read a reply in which the host gives the reason.
		{"content", ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 354 go ahead\nS: <freeze>", timeouts.DataBlock + time.Second},
		{"end of data", ehlo + all + "S: <hang>", timeouts.DataDone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", tt.script)
				tr := n.transport()
				tr.Timeouts = timeouts
				start := time.Now()
				if r := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))[0]; r.Outcome == Success {
					t.Error(r)
				}
				if d := time.Since(start); d != tt.want {
					t.Errorf("took %v, want %v", d, tt.want)
				}
			})
		})
	}
}
