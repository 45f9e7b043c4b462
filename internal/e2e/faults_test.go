package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Promise 2: each recipient reaches a final state, whatever the next hop does. It
// is delivered, reported to the reverse-path or, if that is null, kept as bad
// mail.
func TestEveryRecipientEnds(t *testing.T) {
	const once, always = 1, 1 << 30
	for _, tt := range []struct {
		name  string
		stage string
		reply string
		times int // how often the next hop fails before it works
		want  fate
		code  string // in the report
	}{
		{"greeting 421 once", "connect", "421 4.3.2 busy", once, delivered, ""},
		{"greeting 554 once", "connect", "554 5.3.2 closed", once, delivered, ""},
		{"greeting 554 always", "connect", "554 5.3.2 closed", always, reported, "4.4.7"},
		{"EHLO 421 once", "EHLO", "421 4.3.2 busy", once, delivered, ""},
		{"EHLO 550 always", "EHLO", "550 5.7.1 go away", always, reported, "4.4.7"},
		{"MAIL 451 once", "MAIL", "451 4.3.0 later", once, delivered, ""},
		{"MAIL 550 always", "MAIL", "550 5.7.1 not you", always, reported, "5.7.1"},
		{"RCPT 450 once", "RCPT", "450 4.2.1 greylisted", once, delivered, ""},
		{"RCPT 450 always", "RCPT", "450 4.2.1 greylisted", always, reported, "4.4.7"},
		{"RCPT 550 always", "RCPT", "550 5.1.1 unknown", always, reported, "5.1.1"},
		{"DATA 451 once", "DATA", "451 4.3.0 later", once, delivered, ""},
		{"DATA 554 always", "DATA", "554 5.7.1 no", always, reported, "5.7.1"},
		{"end of data 452 once", "dot", "452 4.3.1 full", once, delivered, ""},
		{"end of data 554 always", "dot", "554 5.6.0 spam", always, reported, "5.6.0"},
		{"hangs at the greeting once", "connect", "hang", once, delivered, ""},
		{"hangs at MAIL once", "MAIL", "hang", once, delivered, ""},
		{"hangs at RCPT once", "RCPT", "hang", once, delivered, ""},
		{"hangs at DATA once", "DATA", "hang", once, delivered, ""},
		{"hangs after the dot once", "dot", "hang", once, delivered, ""},
		{"hangs after the dot always", "dot", "hang", always, reported, "4.4.7"},
		{"drops at the greeting once", "connect", "drop", once, delivered, ""},
		{"drops at EHLO once", "EHLO", "drop", once, delivered, ""},
		{"drops at MAIL once", "MAIL", "drop", once, delivered, ""},
		{"drops after the dot once", "dot", "drop", once, delivered, ""},
		{"drops after the dot always", "dot", "drop", always, reported, "4.4.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			home := newSink(t)
			var left atomic.Int64
			left.Store(int64(tt.times))
			next := newFaultySink(t, func(stage, _ string) string {
				if stage == "stored" { // a message that is refused after the dot is not accepted
					if tt.stage == "dot" && left.Load() > 0 {
						return "no"
					}
					return ""
				}
				if stage == tt.stage && left.Add(-1) >= 0 {
					return tt.reply
				}
				return ""
			})
			r := faultyRelay(t, next.addr, home.addr)
			send(t, r.addr, "alice@example.com", "bob@example.net")
			await(t, time.Minute, "the final state of the message", func() bool { return r.waiting(t) == 0 })
			check(t, tt.want, tt.code, next, home)
		})
	}
}

// The same, if no server listens at the next hop's address.
func TestConnectionRefused(t *testing.T) {
	home := newSink(t)
	r := faultyRelay(t, peers.FreeAddr(t), home.addr)
	send(t, r.addr, "alice@example.com", "bob@example.net")
	await(t, time.Minute, "the final state of the message", func() bool { return r.waiting(t) == 0 })
	check(t, reported, "4.4.7", newSink(t), home)
}

// A refused recipient does not affect the others.
func TestRecipientsAreIndependent(t *testing.T) {
	home := newSink(t)
	next := newFaultySink(t, func(stage, arg string) string {
		if stage == "RCPT" && strings.HasPrefix(arg, "unknown@") {
			return "550 5.1.1 no such user"
		}
		return ""
	})
	r := faultyRelay(t, next.addr, home.addr)
	send(t, r.addr, "alice@example.com", "bob@example.net", "unknown@example.net", "carol@example.net")
	await(t, time.Minute, "the final state of the message", func() bool { return r.waiting(t) == 0 })
	if m := next.received(); len(m) != 1 || fmt.Sprint(m[0].to) != "[bob@example.net carol@example.net]" {
		t.Errorf("the next hop received %v", m)
	}
	reports := home.received()
	if len(reports) != 1 || !strings.Contains(string(reports[0].data), "Final-Recipient: rfc822; unknown@example.net") ||
		strings.Contains(string(reports[0].data), "bob@example.net\r\nAction") {
		t.Errorf("reports: %q", reports)
	}
}

// A message without a reverse-path that fails is kept as bad mail, and no
// report is sent about it.
func TestFailedReportIsKept(t *testing.T) {
	home := newSink(t)
	next := newFaultySink(t, func(stage, _ string) string {
		if stage == "RCPT" {
			return "550 5.1.1 no such user"
		}
		return ""
	})
	r := faultyRelay(t, next.addr, home.addr)
	send(t, r.addr, "", "bob@example.net")
	var kept []*queue.Entry
	await(t, time.Minute, "bad mail in the store", func() bool {
		kept = kept[:0]
		for e, err := range r.store.List(t.Context(), queue.Query{}) {
			must(t, err)
			if strings.Contains(e.Schedule.Hop.Destination, "bad mail") {
				kept = append(kept, e)
			}
		}
		return len(kept) == 1
	})
	m, err := r.store.Get(t.Context(), kept[0].ID)
	must(t, err)
	if len(m.Recipients) != 1 || m.Recipients[0].Addr != "bob@example.net" || m.From != "" {
		t.Errorf("kept: from %q to %v", m.From, m.Recipients)
	}
	if n := len(home.received()) + len(next.received()); n != 0 {
		t.Errorf("%d messages were sent about it", n)
	}
}

type fate int

const (
	delivered fate = iota
	reported
)

func check(t *testing.T, want fate, code string, next, home *sink) {
	t.Helper()
	arrived, reports := next.received(), home.received()
	switch want {
	case delivered:
		if len(arrived) != 1 || len(reports) != 0 {
			t.Fatalf("%d arrived, %d reports; want 1, 0", len(arrived), len(reports))
		}
	case reported:
		if len(arrived) != 0 || len(reports) != 1 {
			t.Fatalf("%d arrived, %d reports; want 0, 1", len(arrived), len(reports))
		}
		r := reports[0]
		text := string(r.data)
		if r.from != "" || fmt.Sprint(r.to) != "[alice@example.com]" {
			t.Errorf("the report goes from %q to %v", r.from, r.to)
		}
		for _, want := range []string{
			"multipart/report", "message/delivery-status", "Final-Recipient: rfc822; bob@example.net",
			"Action: failed", "Status: " + code, "Reporting-MTA: dns; relay.example.com",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the report lacks %q:\n%s", want, text)
			}
		}
		if !regexp.MustCompile(`Message-ID: <fault@e2e\.test>`).MatchString(text) {
			t.Errorf("the report does not say which message it is about:\n%s", text)
		}
	}
}

// faultyRelay has short timeouts and a short retry interval.
func faultyRelay(t *testing.T, next, home string) *relay {
	const soon = 700 * time.Millisecond
	return startRelay(t, relayConfig{
		smartHost: next, home: home,
		retry: queue.Retry{Intervals: []time.Duration{100 * time.Millisecond}, Jitter: -1, DelayNotice: -1, Expiry: 4 * time.Second},
		timeouts: smtpclient.Timeouts{Connect: soon, Greeting: soon, Hello: soon, Mail: soon, Rcpt: soon,
			DataInit: soon, DataBlock: soon, DataDone: soon, Quit: soon},
	})
}

// send sends one message to the relay, with its own SMTP commands.
func send(t *testing.T, addr, from string, to ...string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	script := []string{"", "HELO e2e.test", "MAIL FROM:<" + from + ">"}
	for _, rcpt := range to {
		script = append(script, "RCPT TO:<"+rcpt+">")
	}
	script = append(script, "DATA", "Subject: fault\r\nMessage-ID: <fault@e2e.test>\r\n\r\nHello.\r\n.", "QUIT")
	for _, line := range script {
		if line != "" {
			_, err := io.WriteString(c, line+"\r\n")
			must(t, err)
		}
		reply, err := r.ReadString('\n')
		must(t, err)
		if reply[0] > '3' {
			t.Fatalf("%q was answered %q", line, reply)
		}
	}
}
