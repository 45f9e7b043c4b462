package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = "Subject: x\r\n\r\nbody\r\n"

// trails collects the trails that a Sink receives.
type trails struct {
	mu sync.Mutex // guards all
	ts []*Trail
}

func (ts *trails) add(t *Trail) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.ts = append(ts.ts, t)
}

// short returns each trail as one line, without IDs and durations.
func (ts *trails) short() []string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var lines []string
	for _, t := range ts.ts {
		l := fmt.Sprintf("<%s>%v %s:", t.From, t.To, t.Outcome)
		for _, e := range t.Entries {
			l += fmt.Sprintf(" [%s %s %s %s]", e.Event, e.Agent, e.Verdict, e.About)
		}
		lines = append(lines, l)
	}
	return lines
}

var (
	no      = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}
	errSick = errors.New("sick")
	agent   = smtpserver.Agent{
		Name:    "judge",
		Connect: func(context.Context, *smtpserver.Session) error { return nil },
		Helo:    func(context.Context, *smtpserver.Session, string) error { return nil },
		Mail: func(_ context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			return map[string]error{"bad@example.org": no}[from]
		},
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			return map[string]error{"bad@example.com": no}[to]
		},
		Data: func(context.Context, *smtpserver.Session) error { return nil },
		EndOfHeaders: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			return map[string]error{"header@example.org": no}[m.From]
		},
		EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			return map[string]error{"sick@example.org": errSick, "drop@example.org": smtpserver.ErrDiscard, "fast@example.org": smtpserver.ErrAccept}[m.From]
		},
	}
)

func TestTrails(t *testing.T) {
	var got trails
	var log bytes.Buffer
	a := &Audit{Sink: got.add, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	srv := &smtpserver.Server{Agents: a.Wrap([]smtpserver.Agent{agent})}
	srv.Handler = a.Handler(smtpserver.HandlerFunc(func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
		return "", map[string]error{"handler@example.org": no}[m.From]
	}))
	s := agenttest.StartServer(t, srv)
	c := s.Dial(t)
	for _, m := range []struct {
		from string
		to   []string
		code int
	}{
		{"a@example.org", []string{"b@example.com"}, 250},
		{"bad@example.org", []string{"b@example.com"}, 550},
		{"header@example.org", []string{"b@example.com"}, 550},
		{"sick@example.org", []string{"b@example.com"}, 451},
		{"drop@example.org", []string{"b@example.com"}, 250},
		{"fast@example.org", []string{"b@example.com"}, 250},
		{"handler@example.org", []string{"b@example.com"}, 550},
	} {
		if code, text := c.Send(m.from, m.to, text); code != m.code {
			t.Fatalf("%s: %d %s", m.from, code, text)
		}
	}
	c.Want(250, "MAIL FROM:<reset@example.org>")
	c.Want(550, "RCPT TO:<bad@example.com>")
	c.Want(501, "RCPT TO:<b@@example.com>")
	c.Want(250, "RSET")
	c.Want(221, "QUIT")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	const session = " [connect judge pass ] [helo judge pass client.example.org]"
	const rcpt = " [mail judge pass ] [rcpt judge pass b@example.com] [data judge pass ]"
	const header = " [end of header judge pass ]"
	to := "[b@example.com]"
	want := []string{
		"<a@example.org>" + to + " accepted:" + session + rcpt + header + " [end of data judge pass ] [receive handler pass ]",
		"<bad@example.org>[] refused:" + session + " [mail judge 550 5.7.1 no ]",
		"<header@example.org>" + to + " refused:" + session + rcpt + " [end of header judge 550 5.7.1 no ]",
		"<sick@example.org>" + to + " refused:" + session + rcpt + header + " [end of data judge error: sick ]",
		"<drop@example.org>" + to + " discarded:" + session + rcpt + header + " [end of data judge discard ]",
		"<fast@example.org>" + to + " accepted:" + session + rcpt + header + " [end of data judge accept ] [receive handler pass ]",
		"<handler@example.org>" + to + " refused:" + session + rcpt + header + " [end of data judge pass ] [receive handler 550 5.7.1 no ]",
	}
	lines := got.short()
	if !slices.Equal(lines[:len(lines)-1], want) {
		t.Errorf("trails\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "<reset@example.org>[] incomplete:"+session+" [mail judge pass ] [rcpt judge 550 5.7.1 no bad@example.com] [refusal server 501 ") {
		t.Errorf("a message that the client did not complete: %s", last)
	}
	if n := strings.Count(log.String(), "msg=audit"); n != len(lines) {
		t.Errorf("%d lines of log:\n%s", n, log.String())
	}
	if s := got.ts[0].String(); !strings.Contains(s, "from <a@example.org>: accepted\n  connect        judge") {
		t.Errorf("in words:\n%s", s)
	}
}

func TestDiscardFromTheStart(t *testing.T) {
	var got trails
	a := &Audit{Sink: got.add}
	drop := smtpserver.Agent{Name: "drop", Connect: func(context.Context, *smtpserver.Session) error { return smtpserver.ErrDiscard },
		Mail: func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error { return nil }}
	s := agenttest.Start(t, a.Wrap([]smtpserver.Agent{drop})...)
	c := s.Dial(t)
	for range 2 {
		if code, _ := c.Send("a@example.org", []string{"b@example.com"}, text); code != 250 {
			t.Fatal(code)
		}
	}
	c.Want(221, "QUIT")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := got.short()
	if len(lines) != 2 || !strings.Contains(lines[0], "discarded") || !strings.Contains(lines[1], "discarded") {
		t.Errorf("%q", lines)
	}
}

func TestTrailIsBounded(t *testing.T) {
	var got trails
	a := &Audit{Sink: got.add, MaxEntries: 12}
	srv := &smtpserver.Server{Agents: a.Wrap([]smtpserver.Agent{agent})}
	srv.Handler = a.Handler(smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil }))
	s := agenttest.StartServer(t, srv)
	c := s.Dial(t)
	for range 20 {
		c.Want(250, "EHLO again.example")
	}
	var to []string
	for i := range 50 {
		to = append(to, fmt.Sprintf("r%d@example.com", i))
	}
	if code, text := c.Send("a@example.org", to, text); code != 250 {
		t.Fatal(code, text)
	}
	c.Want(221, "QUIT")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr := got.ts[0]
	if len(tr.Entries) != 12 || tr.Dropped != 22+1+50+3+1-12 || !strings.Contains(tr.String(), fmt.Sprintf("and %d more", tr.Dropped)) {
		t.Errorf("%d entries, %d dropped", len(tr.Entries), tr.Dropped)
	}
	var events []string
	for _, e := range tr.Entries {
		events = append(events, e.Event)
	}
	if got := strings.Join(events, ","); got != "connect,helo,helo,mail,rcpt,rcpt,rcpt,rcpt,rcpt,data,end of header,end of data" {
		t.Errorf("events %s", got)
	}
}

// The text of a scanner cannot add lines to a trail, and its length is limited.
func TestHostileTexts(t *testing.T) {
	var got trails
	a := &Audit{Sink: got.add}
	s := agenttest.Start(t, a.Wrap([]smtpserver.Agent{{Name: "scanner", EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no\nmessage X from <x>: accepted\r\n" + strings.Repeat("x", 100_000)}
	}}})...)
	c := s.Dial(t)
	c.Send("a@example.org", []string{"b@example.com"}, text)
	c.Want(221, "QUIT")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := got.ts[0].String(); strings.Count(out, "\n") != 2 || len(out) > 2000 {
		t.Errorf("%.2000s", out)
	}
}

func TestCounters(t *testing.T) {
	a := new(Audit)
	s := agenttest.Start(t, a.Wrap([]smtpserver.Agent{agent, agent})...)
	c := s.Dial(t)
	for _, from := range []string{"a@example.org", "sick@example.org", "drop@example.org", "header@example.org"} {
		c.Send(from, []string{"b@example.com"}, text)
	}
	want := map[string][3]int64{ // calls, refused, failed
		"connect": {2, 0, 0}, "helo": {2, 0, 0}, "mail": {8, 0, 0}, "rcpt": {8, 0, 0}, "data": {8, 0, 0},
		"end of header": {7, 1, 0}, "end of data": {4, 1, 1},
	}
	for _, n := range a.Counters() {
		if n.Agent != "judge" || [3]int64{n.Calls, n.Refused, n.Failed} != want[n.Event] || n.TotalDuration < n.MaxDuration {
			t.Errorf("%+v, want %v", n, want[n.Event])
		}
		delete(want, n.Event)
	}
	if len(want) > 0 {
		t.Errorf("no counters for %v", want)
	}
}

// The benchmark measures the cost of recording for one agent at one event.
func BenchmarkAudit(b *testing.B) {
	for name, a := range map[string]*Audit{"counters": {}, "trails": {Sink: func(*Trail) {}}} {
		b.Run(name, func(b *testing.B) {
			f := a.message("judge", endOfData, func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return nil })
			loop := smtpserver.Agent{Name: "loop", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
				b.ReportAllocs()
				for b.Loop() {
					f(ctx, s, m)
					if r := a.record(s); len(r.entries) == 100 {
						r.entries = r.entries[:0]
					}
				}
				return nil
			}}
			agenttest.Relay(b, "a@example.org", []string{"b@example.com"}, text, loop)
		})
	}
}

// A trail has the HELO name in its safe form.
func TestTrailHasSafeHeloName(t *testing.T) {
	var got trails
	a := &Audit{Sink: got.add}
	c := agenttest.Start(t, a.Wrap([]smtpserver.Agent{agent})...).Connect(t)
	c.Read()
	c.Want(250, `EHLO my "printer"`)
	c.Want(550, "MAIL FROM:<bad@example.org>")
	c.Want(221, "QUIT")
	if s := strings.Join(got.short(), "\n"); !strings.Contains(s, "[helo judge pass my%20%22printer%22]") {
		t.Errorf("trails:\n%s", s)
	}
}
