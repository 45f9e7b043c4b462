package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A bench has a recorder without a Queue and without goroutines, a store of
// three methods, and a scheduler that gets its events from the test. It lists
// what the recorder does, in order.
type bench struct {
	t     *testing.T
	r     recorder
	core  *sched.Scheduler
	store *benchStore
	did   []string // "report failed", "remove m", "update m", ...
	toDo  []*active
	sent  []*Message // reports that were enqueued

	submitErr error // for the next reports
}

// A benchStore has the methods of a Store that a recorder calls.
type benchStore struct {
	Store
	b   *bench
	err error
	put *Message // what the last Update recorded, and
	s   Schedule // its schedule
}

func (s *benchStore) Update(ctx context.Context, owner string, m *Message, sc Schedule) error {
	if s.err == nil {
		s.put, s.s = m, sc
		s.b.did = append(s.b.did, "update "+m.ID)
	}
	return s.err
}

func (s *benchStore) Remove(ctx context.Context, owner, id string) error {
	if s.err == nil {
		s.b.did = append(s.b.did, "remove "+id)
	}
	return s.err
}

func (s *benchStore) Sync(ctx context.Context) error { return s.err }

func newBench(t *testing.T) *bench {
	b := &bench{t: t, core: sched.New(sched.Limits{Active: 10, Memory: 1 << 20, Deliveries: 2, Lease: time.Hour})}
	b.store = &benchStore{b: b}
	log := slog.New(slog.DiscardHandler)
	b.r = recorder{store: b.store, driver: &driver{core: b.core}, clock: new(clock), carryOut: b.carryOut, log: log,
		wait: func(int, *Result) time.Duration { return time.Hour },
		execute: func(ctx context.Context, a *active, stored NextHop, op Op) error {
			b.did = append(b.did, op.String()+" "+a.m.ID)
			return nil
		},
		reporter: reporter{counts: new(counts), host: "relay.example.com", log: log,
			submit: func(ctx context.Context, m *Message) error {
				if b.submitErr == nil {
					b.sent = append(b.sent, m)
				}
				return b.submitErr
			},
			keep: func(ctx context.Context, bad *Message) (string, error) { return "", nil },
			emit: func(kind EventKind, m *Message, rcpts []*Recipient, more func(*Event)) {
				e := Event{Kind: kind}
				if more != nil {
					more(&e)
				}
				switch kind {
				case EventDSN:
					b.did = append(b.did, "report "+e.Text)
				case EventBadMail:
					b.did = append(b.did, "bad mail: "+e.Text)
				case EventSuppressed:
					b.did = append(b.did, "no report: "+e.Text)
				}
			}}}
	b.r.clock.start(nil)
	b.core.Run()
	return b
}

// step passes events to the core, as a driver does.
func (b *bench) step(events func(*sched.Scheduler)) { b.r.step(events) }

// carryOut notes the messages to record.
func (b *bench) carryOut(todo []sched.Decision) {
	for _, d := range todo {
		if d.Kind == sched.Record {
			b.toDo = append(b.toDo, activeOf(d.Msg))
		}
	}
}

// record records the messages for which the scheduler has decided so.
func (b *bench) record() {
	for len(b.toDo) > 0 {
		a := b.toDo[0]
		b.toDo = b.toDo[1:]
		b.r.record(a)
	}
}

// done returns what was done since the last call.
func (b *bench) done() string {
	s := strings.Join(b.did, ", ")
	b.did = nil
	return s
}

// active returns an active message that is being routed.
func (b *bench) active(m *Message) *active {
	m.ID, m.Content, m.Received = "m", String("Subject: hello\r\n\r\nHello.\r\n"), time.Now()
	a := &active{m: m, owner: "me", counts: new(counts)}
	a.ID, a.Load, a.Lease = m.ID, a, time.Now().Add(time.Hour)
	b.step(func(core *sched.Scheduler) {
		if !core.Place(0) || !core.Arrived(time.Now(), &a.Message) {
			b.t.Fatal("the message has no place")
		}
		if job := core.Ready(&sched.Decision{}); job.Kind != sched.Route {
			b.t.Fatalf("the job is %v", job.Kind)
		}
	})
	return a
}

// end gives the recipients of a their results, so that no part of it is left.
func (b *bench) end(a *active, vs ...verdict) {
	b.step(func(core *sched.Scheduler) {
		for i := range vs {
			vs[i].r = a.m.Recipients[i]
			a.apply(&vs[i], time.Now(), b.r.clock)
		}
		core.Routed(time.Now(), &a.Message)
	})
}

var (
	toSuccess = verdict{status: Delivered, res: &Result{Outcome: Success}}
	toFailure = verdict{status: Failed, res: &Result{Outcome: Failure, Reply: smtp.SMTPError{Code: 550, Message: "No"}}, expire: farFuture}
)

func toWait(delayed bool) verdict {
	at := time.Now().Add(time.Hour)
	return verdict{status: Waiting, res: &Result{}, next: at, again: at, delayed: delayed, expire: at}
}

// notified returns a recipient whose sender requests all reports.
func notified() *Recipient {
	r := Rcpt("bob@example.net")[0]
	r.Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}
	return r
}

// Reports are sent before the state is recorded: after a crash in between, a
// report may be repeated, but none is lost.
func TestRecorderReportsThenRecords(t *testing.T) {
	never := notified()
	never.Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
	for _, test := range []struct {
		name    string
		from    string
		rcpt    *Recipient
		verdict verdict
		want    string
	}{
		{"delivered", "alice@example.com", Rcpt("bob@example.net")[0], toSuccess, "remove m"},
		{"delivered, with NOTIFY=SUCCESS", "alice@example.com", notified(), toSuccess, "report relayed, remove m"},
		{"failed", "alice@example.com", Rcpt("bob@example.net")[0], toFailure, "report failed, remove m"},
		{"failed, with NOTIFY=NEVER", "alice@example.com", never, toFailure, "no report: NOTIFY does not name FAILURE, remove m"},
		{"failed, with a null sender", "", notified(), toFailure, "bad mail: its sender is the null reverse-path, remove m"},
		{"waits", "alice@example.com", notified(), toWait(false), "update m"},
		{"is delayed", "alice@example.com", notified(), toWait(true), "report delayed, update m"},
		{"is delayed, with a null sender", "", notified(), toWait(true), "update m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			a := b.active(&Message{From: test.from, Recipients: []*Recipient{test.rcpt}})
			b.end(a, test.verdict)
			b.record()
			if got := b.done(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if b.core.Message("m") != nil {
				t.Error("the message is active after its last record")
			}
			for _, report := range b.sent {
				if report.Recipients[0].Addr != test.from || report.From != "" {
					t.Errorf("the report goes from <%s> to <%s>", report.From, report.Recipients[0].Addr)
				}
			}
		})
	}
}

// If a report is refused temporarily, its recipients continue to wait. The
// record says so, and the report is sent later with the same ID.
func TestRecorderWaitsWhenReportIsRefused(t *testing.T) {
	b := newBench(t)
	a := b.active(&Message{From: "alice@example.com", Recipients: []*Recipient{notified(), notified()}})
	b.submitErr = errors.New("the store is full")
	b.end(a, toSuccess, toFailure)
	b.record()
	if got := b.done(); got != "update m" {
		t.Errorf("got %s", got)
	}
	delivered, failed := b.store.put.Recipients[0], b.store.put.Recipients[1]
	if delivered.Status != Delivered || failed.Status != Waiting {
		t.Errorf("recorded as %v and %v, want delivered and waiting", delivered.Status, failed.Status)
	}
	if in := time.Until(b.store.s.Due); in < 59*time.Minute || in > time.Hour {
		t.Errorf("due again in %v, want an hour (retry policy)", in)
	}
}

// A report that is refused permanently is never sent: the message becomes bad
// mail and does not wait.
func TestRecorderKeepsBadMail(t *testing.T) {
	b := newBench(t)
	a := b.active(&Message{From: "alice@example.com", Recipients: []*Recipient{notified()}})
	b.submitErr = &smtp.SMTPError{Code: 554, Message: "not this one"}
	b.end(a, toFailure)
	b.record()
	if got := b.done(); !strings.HasPrefix(got, "bad mail: no report could be queued") || !strings.HasSuffix(got, "remove m") {
		t.Errorf("got %s", got)
	}
}

// While the store cannot record, nothing more is delivered. When the store
// works again, the record is made, and its report is not sent again.
func TestRecorderMends(t *testing.T) {
	b := newBench(t)
	a := b.active(&Message{From: "alice@example.com", Recipients: []*Recipient{notified()}})
	b.end(a, toFailure)
	b.store.err = errors.New("the disk is full")
	b.record()
	if got := b.done(); got != "report failed" || !b.core.Broken() {
		t.Fatalf("got %s, broken %v", got, b.core.Broken())
	}
	b.r.mend()
	if got := b.done(); got != "" || !b.core.Broken() || len(b.r.unrecorded) != 1 {
		t.Fatalf("the store still fails: got %s, broken %v, %d unrecorded", got, b.core.Broken(), len(b.r.unrecorded))
	}
	b.store.err = nil
	b.r.mend()
	if got := b.done(); got != "remove m" || b.core.Broken() || len(b.r.unrecorded) != 0 {
		t.Errorf("the store works: got %s, broken %v, %d unrecorded", got, b.core.Broken(), len(b.r.unrecorded))
	}
}

// A message that another owner has leased is not recorded, and is removed from
// memory.
func TestRecorderLosesALease(t *testing.T) {
	for _, err := range []error{ErrLeaseLost, ErrNotFound} {
		b := newBench(t)
		a := b.active(&Message{From: "alice@example.com", Recipients: []*Recipient{notified()}})
		b.store.err = fmt.Errorf("a store: %w", err)
		b.end(a, toWait(false))
		b.record()
		if b.core.Broken() || len(b.r.unrecorded) > 0 || b.core.Message("m") != nil {
			t.Errorf("%v: broken %v, %d unrecorded, active %v", err, b.core.Broken(), len(b.r.unrecorded), b.core.Message("m") != nil)
		}
	}
}

// While a part is still in delivery, a delivery is recorded at once, and a
// failure that is not reported yet is recorded as waiting. After a crash the
// failure is found and reported again.
func TestRecorderRecordsPartialResults(t *testing.T) {
	b := newBench(t)
	a := b.active(&Message{From: "alice@example.com", Recipients: []*Recipient{notified(), notified(), notified()}})
	now := time.Now()
	var h *sched.Hop
	b.step(func(core *sched.Scheduler) {
		h, _ = core.Way(now, &a.Message, sched.Key{Destination: "example.net"}, sched.HopLimits{Concurrency: 9, Start: 9, Recipients: 1, Active: 9}, sched.Pace{})
		for _, rcpt := range a.m.Recipients {
			core.Queue(&a.newPart(h, []*Recipient{rcpt}).Part)
		}
		core.Routed(now, &a.Message)
	})
	end := func(i int, v verdict) {
		b.step(func(core *sched.Scheduler) {
			v.r = a.m.Recipients[i]
			a.apply(&v, now, b.r.clock)
			core.Ended(&a.Message)
		})
		b.record()
	}
	end(0, toFailure)
	if got := b.done(); got != "" {
		t.Errorf("a failure was recorded before the last part ended: %s", got)
	}
	end(1, toSuccess)
	var got []Status
	for _, r := range b.store.put.Recipients {
		got = append(got, r.Status)
	}
	if did, want := b.done(), []Status{Waiting, Delivered, Waiting}; did != "update m" || !slices.Equal(got, want) || b.store.s.Owner != "me" {
		t.Errorf("%s: recorded %v for %q, want %v", did, got, b.store.s.Owner, want)
	}
	end(2, toWait(false))
	if did := b.done(); did != "report failed, report relayed, update m" {
		t.Errorf("at the end: %s", did)
	}
}

// An operation is performed instead of the last record of a message that waits.
// It is ignored for a message that has ended.
func TestRecorderPerformsOperations(t *testing.T) {
	for _, test := range []struct {
		verdict verdict
		want    string
	}{{toWait(false), "suspend m"}, {toSuccess, "report relayed, remove m"}} {
		b := newBench(t)
		a := b.active(&Message{From: "alice@example.com", Recipients: []*Recipient{notified()}})
		op := Suspend()
		a.order = &op
		b.end(a, test.verdict)
		b.record()
		if got := b.done(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// A report that was refused because of its form is sent again in a smaller
// form. If there is none, it becomes bad mail. No report is sent about it.
func TestReporterSendsSmallerReport(t *testing.T) {
	b := newBench(t)
	m := &Message{ID: "m", From: "alice@example.com", Content: String("Subject: hello\r\n\r\nHello.\r\n"), Recipients: []*Recipient{notified()}}
	if err := b.r.reporter.failed(context.Background(), m, m.Recipients, farFuture); err != nil {
		t.Fatal(err)
	}
	var forms []bool // whether each has headers only
	for range 3 {
		report := b.sent[len(b.sent)-1]
		content := new(strings.Builder)
		report.Content.WriteTo(content)
		r, err := dsn.Parse(strings.NewReader(content.String()))
		if err != nil {
			t.Fatal(err)
		}
		forms = append(forms, r.HeaderOnly)
		report.System = true
		report.Recipients[0].Last.Reply = smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}}
		if err := b.r.reporter.failed(context.Background(), report, report.Recipients, farFuture); err != nil {
			t.Fatal(err)
		}
	}
	const again = "report sent again in a smaller form"
	if got, want := b.done(), "report failed, "+again+", "+again+", bad mail: no report is sent about a report"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if want := []bool{false, true, true}; !slices.Equal(forms, want) {
		t.Errorf("headers only: %v, want %v", forms, want)
	}
}
