package smtpclient

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

// The situations of a Send in the order of the table in the package
// documentation, each with the host's side of the session.
var situations = []struct {
	name    string
	scripts []string // of 192.0.2.1, the first host
	second  []string // of 192.0.2.2; with none there is no second host
	rcpts   []string // default b@example.net
	want    string
}{
	// No session is opened.
	{name: "connection refused",
		want: `unreachable 451 4.4.1 mx1.example.net (192.0.2.1:25): connect: dial tcp: connection refused`},
	{name: "connection times out", scripts: []string{"<timeout>"},
		want: `unreachable 451 4.4.1 mx1.example.net (192.0.2.1:25): connect: timed out`},
	{name: "connection refused, second host serves", second: []string{ehlo + one + quit},
		want: `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "greeting 421", scripts: []string{"S: 421 4.3.2 too busy\nC: <eof>"},
		want: `unreachable 421 4.3.2 too busy [mx1.example.net]`},
	{name: "greeting 554", scripts: []string{"S: 554 5.7.1 go away" + quit},
		want: `unreachable 554 5.7.1 go away [mx1.example.net]`},
	{name: "greeting 554, second host serves", scripts: []string{"S: 554 5.7.1 go away" + quit}, second: []string{ehlo + one + quit},
		want: `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "greeting is not SMTP", scripts: []string{"S: SSH-2.0-OpenSSH_9.2\nC: <eof>"},
		want: `unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): greeting: "SSH-2.0-OpenSSH_9.2" is not a reply`},
	{name: "greeting with code 199", scripts: []string{"S: 199 ho\nC: <eof>"},
		want: `unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): greeting: "199 ho" is not a reply`},
	{name: "closed before the greeting", scripts: []string{"S: <close>"},
		want: `unreachable 451 4.4.2 mx1.example.net (192.0.2.1:25): reply to greeting: ...`},
	{name: "no greeting in time", scripts: []string{"S: <hang>"},
		want: `unreachable 451 4.4.2 mx1.example.net (192.0.2.1:25): reply to greeting: ...`},
	{name: "EHLO 421", scripts: []string{"S: 220 mx\nC: EHLO relay.example\nS: 421 4.3.0 later\nC: <eof>"},
		want: `unreachable 421 4.3.0 later [mx1.example.net]`},
	{name: "EHLO not understood", scripts: []string{"S: 220 mx\nC: EHLO relay.example\nS: 502 what?\nC: HELO relay.example\nS: 250 mx" + stepwise + quit},
		want: `success 250 2.0.0 queued [mx1.example.net]`},
	{name: "EHLO and HELO refused", scripts: []string{"S: 220 mx\nC: EHLO relay.example\nS: 550 5.7.1 no\nC: HELO relay.example\nS: 550 5.7.1 never" + quit},
		want: `unreachable 550 5.7.1 never [mx1.example.net]`},

	// The envelope.
	{name: "MAIL 4xx", scripts: []string{ehlo + batch + "S: 451 4.7.1 greylisted\nS: 503 5.5.1 no MAIL\nS: 503 5.5.1 no RCPT" + quit},
		want: `deferred 451 4.7.1 greylisted [mx1.example.net]`},
	{name: "MAIL 4xx, second host serves", scripts: []string{ehlo + batch + "S: 451 4.3.1 disk full\nS: 503 5.5.1 no MAIL\nS: 503 5.5.1 no RCPT" + quit},
		second: []string{ehlo + one + quit},
		want:   `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "MAIL 5xx", scripts: []string{ehlo + batch + "S: 550 5.1.8 bad sender\nS: 503 5.5.1 no MAIL\nS: 503 5.5.1 no RCPT" + quit}, second: []string{},
		want: `failure 550 5.1.8 bad sender [mx1.example.net]`},
	{name: "MAIL 530", scripts: []string{ehlo + batch + "S: 530 5.7.0 Must issue a STARTTLS command first\nC: <eof>"},
		want: `unreachable 530 5.7.0 Must issue a STARTTLS command first [mx1.example.net]`},
	{name: "MAIL 421", scripts: []string{ehlo + batch + "S: 421 4.3.2 shutting down\nS: <close>"},
		want: `deferred 421 4.3.2 shutting down [mx1.example.net]`},
	{name: "MAIL 421, second host serves", scripts: []string{ehlo + batch + "S: 421 4.3.2 shutting down\nS: <close>"}, second: []string{ehlo + one + quit},
		want: `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "MAIL 354", scripts: []string{ehlo + batch + "S: 354 what?\nC: <eof>"},
		want: `deferred 451 4.5.0 session with mx1.example.net: MAIL: unexpected reply 354 "what?"`},
	{name: "RCPT 5xx, the lone dot", scripts: []string{ehlo + batch + "S: 250 ok\nS: 550 5.1.1 unknown\nS: 354 go ahead\nC: .\nS: 554 5.5.1 no valid recipients" + quit},
		want: `failure 550 5.1.1 unknown [mx1.example.net]`},
	{name: "RCPT 5xx with a line without a code", scripts: []string{ehlo + batch + "S: 250 ok\nS: 550-5.1.1 unknown<crlf> see elsewhere<crlf>550 5.1.1 bye\nS: 554 5.5.1 no valid recipients" + quit},
		want: "failure 550 5.1.1 unknown\n...\nbye [mx1.example.net]"},
	{name: "RCPT 5xx, DATA refused", scripts: []string{ehlo + batch + "S: 250 ok\nS: 550 5.1.1 unknown\nS: 554 5.5.1 no valid recipients" + quit},
		want: `failure 550 5.1.1 unknown [mx1.example.net]`},
	{name: "some recipients refused", rcpts: []string{"b@example.net", "c@example.net", "d@example.net"},
		scripts: []string{ehlo + `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: RCPT TO:<c@example.net>
			C: RCPT TO:<d@example.net>
			C: DATA
			S: 250 ok
			S: 550 5.1.1 unknown
			S: 250 ok
			S: 450 4.2.1 busy
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 queued` + quit},
		want: `failure 550 5.1.1 unknown [mx1.example.net]
			success 250 2.0.0 queued [mx1.example.net]
			deferred 450 4.2.1 busy [mx1.example.net]`},
	{name: "too many recipients", rcpts: []string{"b@example.net", "c@example.net", "d@example.net"},
		scripts: []string{ehlo + `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: RCPT TO:<c@example.net>
			C: RCPT TO:<d@example.net>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 452 4.5.3 too many
			S: 552 too many, as in the old days
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 first
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<c@example.net>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 second
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<d@example.net>
			C: DATA
			S: 250 ok
			S: 550 5.1.1 unknown
			S: 503 5.5.1 none
			` + quit},
		want: `success 250 2.0.0 first [mx1.example.net]
			success 250 2.0.0 second [mx1.example.net]
			failure 550 5.1.1 unknown [mx1.example.net]`},
	{name: "mailbox full is not too many recipients", rcpts: []string{"b@example.net", "c@example.net"},
		scripts: []string{ehlo + `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: RCPT TO:<c@example.net>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 552 5.2.2 mailbox full
			S: 354 go ahead
			C: <content>
			S: 250 2.0.0 queued` + quit},
		want: `success 250 2.0.0 queued [mx1.example.net]
			failure 552 5.2.2 mailbox full [mx1.example.net]`},
	{name: "first of all is one too many", scripts: []string{ehlo + batch + "S: 250 ok\nS: 452 4.5.3 too many\nS: 503 5.5.1 none" + quit},
		want: `deferred 452 4.5.3 too many [mx1.example.net]`},
	{name: "RCPT 421", scripts: []string{ehlo + batch + "S: 250 ok\nS: 421 4.7.0 that is enough\nS: <close>"},
		want: `deferred 421 4.7.0 that is enough [mx1.example.net]`},
	{name: "closed in the envelope", scripts: []string{ehlo + batch + "S: 250 ok\nS: <close>"},
		want: `deferred 451 4.4.2 session with mx1.example.net failed: reply to RCPT: ...`},
	{name: "closed in the envelope, second host serves", scripts: []string{ehlo + batch + "S: 250 ok\nS: <close>"}, second: []string{ehlo + one + quit},
		want: `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "silence in the envelope", scripts: []string{ehlo + batch + "S: 250 ok\nS: <hang>"},
		want: `deferred 451 4.4.2 session with mx1.example.net timed out: reply to RCPT: ...`},

	// DATA and the content.
	{name: "DATA 4xx", scripts: []string{ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 451 4.3.0 no thread" + quit},
		want: `deferred 451 4.3.0 no thread [mx1.example.net]`},
	{name: "DATA 5xx", scripts: []string{ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 554 5.7.1 spammer" + quit},
		want: `failure 554 5.7.1 spammer [mx1.example.net]`},
	{name: "DATA 250", scripts: []string{ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 250 what?\nC: <eof>"},
		want: `deferred 451 4.5.0 session with mx1.example.net: DATA: unexpected reply 250 "what?"`},
	{name: "closed before the content", scripts: []string{ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 354 go ahead\nS: <close>"}, second: []string{ehlo + one + quit},
		want: `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "refused while the content is sent", scripts: []string{ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 354 go ahead\nS: 552 5.3.4 too large for us\nS: <close>"}, second: []string{},
		want: `failure 552 5.3.4 too large for us [mx1.example.net]`},
	{name: "content not taken in time", scripts: []string{ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 354 go ahead\nS: <freeze>"},
		want: `deferred 451 4.4.2 session with mx1.example.net timed out: ...`},

	// The end of data decides.
	{name: "end of data 4xx", scripts: []string{ehlo + all + "S: 452 4.3.1 disk full" + quit},
		want: `deferred 452 4.3.1 disk full [mx1.example.net]`},
	{name: "end of data 4xx, second host serves", scripts: []string{ehlo + all + "S: 452 4.3.1 disk full" + quit}, second: []string{ehlo + one + quit},
		want: `success 250 2.0.0 queued [mx2.example.net]`},
	{name: "end of data 5xx", scripts: []string{ehlo + all + "S: 550-5.7.1 this is\nS: 550 5.7.1 spam" + quit}, second: []string{},
		want: "failure 550 5.7.1 this is\nspam [mx1.example.net]"},
	{name: "end of data 421", scripts: []string{ehlo + all + "S: 421 4.3.2 bye\nS: <close>"},
		want: `deferred 421 4.3.2 bye [mx1.example.net]`},
	{name: "end of data 354", scripts: []string{ehlo + all + "S: 354 what?\nC: <eof>"}, second: []string{},
		want: `deferred 451 4.5.0 session with mx1.example.net: no valid reply to the end of data, the host may have accepted the message: ...`},
	{name: "closed after the end of data", scripts: []string{ehlo + all + "S: <close>"}, second: []string{},
		want: `deferred 451 4.4.2 session with mx1.example.net failed: no valid reply to the end of data, the host may have accepted the message: ...`},
	{name: "silence after the end of data", scripts: []string{ehlo + all + "S: <hang>"}, second: []string{},
		want: `deferred 451 4.4.2 session with mx1.example.net timed out: no valid reply to the end of data, the host may have accepted the message: ...`},
}

const (
	// batch is the pipelined envelope of one.
	batch = `
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.net>
		C: DATA
		`
	// all is a transaction to the end of data.
	all = batch + `
		S: 250 ok
		S: 250 ok
		S: 354 go ahead
		C: <content>
		`
	// stepwise is a transaction without PIPELINING.
	stepwise = `
		C: MAIL FROM:<a@example.com>
		S: 250 ok
		C: RCPT TO:<b@example.net>
		S: 250 ok
		C: DATA
		S: 354 go ahead
		C: <content>
		S: 250 2.0.0 queued
		`
)

func TestSituations(t *testing.T) {
	for _, tt := range situations {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", tt.scripts...)
				dst := to("192.0.2.1:25")
				if tt.second != nil {
					n.host("192.0.2.2:25", tt.second...)
					dst = to("192.0.2.1:25", "192.0.2.2:25")
				}
				if tt.rcpts == nil {
					tt.rcpts = []string{"b@example.net"}
				}
				expect(t, n.transport().Send(t.Context(), dst, mail("Subject: x\r\n\r\nx\r\n", tt.rcpts...)), tt.want)
			})
		})
	}
}

func TestHostsCannotBeFound(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hosts []Host
		err   error
		want  string
	}{
		{"error", nil, errors.New("no servers"), "unreachable 451 4.4.3 cannot find the hosts of the destination: no servers"},
		{"null MX", nil, &smtp.SMTPError{Code: 556, EnhancedCode: smtp.EnhancedCode{5, 1, 10}, Message: "null MX"}, "failure 556 5.1.10 null MX"},
		{"DNS down", nil, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "SERVFAIL"}, "unreachable 451 4.4.3 SERVFAIL"},
		{"no host", nil, nil, "unreachable 451 4.4.4 no host of the destination has an address"},
		{"no address", []Host{{Name: "mx.example.net"}}, nil, "unreachable 451 4.4.4 no host of the destination has an address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := &Destination{Name: "x", Hosts: func(context.Context) ([]Host, error) { return tt.hosts, tt.err }}
			expect(t, newNetwork(t).transport().Send(t.Context(), dst, mail("x\r\n", "b@example.net")), tt.want)
		})
	}
}

// Addresses that cannot be written in a command fail without a host.
func TestBadAddresses(t *testing.T) {
	tr := newNetwork(t).transport()
	dst := to("192.0.2.1:25")
	expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net>\r\nRSET", "", "b c@example.net", `"b`, strings.Repeat("b", 2000))), `
		failure 553 5.1.3 forward-path has '>' outside quotes
		failure 553 5.1.3 forward-path is empty
		failure 553 5.1.3 forward-path has ' ' outside quotes
		failure 553 5.1.3 forward-path has an open quote
		failure 553 5.1.3 forward-path is longer than 1000 octets`)
	m := mail("x\r\n", "b@example.net")
	m.Content = nil
	expect(t, tr.Send(t.Context(), dst, m), "failure 554 5.6.0 message has no content")
	m = mail("x\r\n", "b@example.net")
	expect(t, tr.Send(t.Context(), &Destination{}, m), "unreachable 451 4.3.5 Destination.Hosts is not set")
	m.From = "a\r\n@example.com"
	expect(t, tr.Send(t.Context(), dst, m), "failure 553 5.1.7 reverse-path has a control character")
}

// The end of the context stops Send in any phase, and does not count as a failure
// of the host.
func TestContextEnds(t *testing.T) {
	for name, script := range map[string]string{
		"connecting":             "<timeout>",
		"before the greeting":    "S: <hang>",
		"in the envelope":        ehlo + batch + "S: <hang>",
		"after the end of data":  ehlo + all + "S: <hang>",
		"while content is taken": ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 354 go ahead\nS: <freeze>",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", script)
				ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("closing time"))
				defer cancel()
				start := time.Now()
				rs := n.transport().Send(ctx, to("192.0.2.1:25", "192.0.2.2:25"), mail("x\r\n", "b@example.net"))
				expect(t, rs, "deferred 451 4.3.2 delivery was interrupted")
				if !errors.Is(rs[0].Err, context.DeadlineExceeded) {
					t.Errorf("error %v", rs[0].Err)
				}
				if d := time.Since(start); d != 10*time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

// broken is content whose end cannot be read.
type broken struct{ Content }

func (b broken) WriteTo(w io.Writer) (int64, error) {
	n, _ := io.WriteString(w, "Subject: x\r\n")
	return int64(n), errors.New("I/O error")
}

// short is content that is shorter than its size.
type short struct{ Content }

func (s short) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, "Subject: x\r\n")
	return int64(n), err
}

// If content cannot be read, the final dot is not sent: the host would accept a
// part of the message as the whole.
func TestContentUnreadable(t *testing.T) {
	for name, wrap := range map[string]func(Content) Content{
		"error": func(c Content) Content { return broken{c} },
		"short": func(c Content) Content { return short{c} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", ehlo+batch+"S: 250 ok\nS: 250 ok\nS: 354 go ahead\nC: <nodot>")
				m := mail("Subject: x\r\n\r\nx\r\n", "b@example.net")
				m.Content = wrap(m.Content)
				expect(t, n.transport().Send(t.Context(), to("192.0.2.1:25", "192.0.2.2:25"), m), "deferred 451 4.3.0 message content cannot be read")
			})
		})
	}
}

// Parameters with an invalid value are not written in a command.
func TestBadOptions(t *testing.T) {
	const evil = "x\r\nRCPT TO:<mallory@example.net>"
	for what, change := range map[string]func(*Message){
		"RET":    func(m *Message) { m.Options.Return = evil },
		"NOTIFY": func(m *Message) { m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyDelayed, evil} },
		"ORCPT": func(m *Message) {
			m.Recipients[0].Options.OriginalRecipient, m.Recipients[0].Options.OriginalRecipientType = "b", evil
		},
		"BY": func(m *Message) { m.DeliverBy = &smtp.DeliverByOptions{Time: time.Hour, Mode: evil} },
	} {
		t.Run(what, func(t *testing.T) {
			m := mail("x\r\n", "b@example.net", "c@example.net")
			change(m)
			expect(t, newNetwork(t).transport().Send(t.Context(), to("192.0.2.1:25"), m),
				strings.Repeat("failure 554 5.5.4 message has an invalid "+what+" parameter\n", 2))
		})
	}
}
