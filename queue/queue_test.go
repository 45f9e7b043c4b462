package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

func TestDeliversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net", "carol@example.org", "dave@example.net")
		calls := w.took()
		if len(calls) != 2 || calls[0].at != 0 || calls[1].at != 0 {
			t.Fatalf("calls %v; want one for each of two hops, at once", calls)
		}
		n := 0
		for _, c := range calls {
			n += len(c.rcpts)
			if c.hop == "example.net" && strings.Join(c.rcpts, " ") != "bob@example.net dave@example.net" {
				t.Errorf("%v; want both recipients of example.net together, in order", c)
			}
		}
		if n != 3 || w.stored() != 0 {
			t.Errorf("%d recipients delivered, %d messages left in the store", n, w.stored())
		}
	})
}

// Messages that were stored before Run are delivered when it runs.
func TestDeliversStoredMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.submit("alice@example.com", "bob@example.net")
		if c := w.took(); len(c) != 0 || w.stored() != 1 {
			t.Fatalf("before Run: calls %v, %d stored", c, w.stored())
		}
		w.run()
		defer w.shutdown()
		if c := w.took(); len(c) != 1 || w.stored() != 0 {
			t.Fatalf("calls %v, %d stored", c, w.stored())
		}
	})
}

// A 4xx is retried after 10, 20, 30, 45, 60 minutes and so on. The sender gets
// a delay notice after 12 hours and the failure report after 2 days.
func TestRetryNoticeExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "example.net" {
				return says(450, smtp.EnhancedCode{4, 2, 0}, "greylisted")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net")
		w.after(61 * time.Minute)
		var at []time.Duration
		for _, c := range w.took() {
			at = append(at, c.at.Round(time.Second)/time.Minute)
		}
		if got, want := at, []time.Duration{0, 10, 20, 30, 45, 60}; len(got) != len(want) {
			t.Fatalf("attempts at minutes %d, want %d", got, want)
		} else {
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("attempts at minutes %d, want %d", got, want)
				}
			}
		}
		var reports []call
		w.after(11*time.Hour + 15*time.Minute)
		for _, c := range w.took() {
			if c.hop == "example.com" {
				reports = append(reports, c)
			}
		}
		if len(reports) != 1 || reports[0].from != "" || !strings.Contains(reports[0].text, "Action: delayed") ||
			!strings.Contains(reports[0].text, "greylisted") {
			t.Fatalf("after 12 hours: %v", reports)
		}
		w.after(36 * time.Hour)
		reports = nil
		for _, c := range w.took() {
			if c.hop == "example.com" {
				reports = append(reports, c)
			}
		}
		if len(reports) != 1 || !strings.Contains(reports[0].text, "Action: failed") || !strings.Contains(reports[0].text, "Status: 4.4.7") {
			t.Fatalf("after 2 days: %v", reports)
		}
		if n := w.stored(); n != 0 {
			t.Errorf("%d messages left", n)
		}
	})
}

func TestFailureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if strings.HasPrefix(r.Addr, "unknown") {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user here")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net", "unknown@example.net")
		calls := w.took()
		if len(calls) != 2 {
			t.Fatalf("calls: %v", calls)
		}
		r := calls[1]
		for _, want := range []string{"Final-Recipient: rfc822; unknown@example.net", "Status: 5.1.1", "Reporting-MTA: dns; relay.example.com",
			"Remote-MTA: dns; mx.example.net", "550 5.1.1 No such user here", "Hello there."} {
			if !strings.Contains(r.text, want) {
				t.Errorf("the report lacks %q:\n%s", want, r.text)
			}
		}
		if strings.Contains(r.text, "bob@example.net") {
			t.Errorf("the report names a recipient that was delivered:\n%s", r.text)
		}
		if r.from != "" || r.rcpts[0] != "alice@example.com" || w.stored() != 0 {
			t.Errorf("%v, %d left", r, w.stored())
		}
	})
}

// A report that fails is not reported: it is kept for the operator.
func TestBadMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user here")
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("forged@example.com", "unknown@example.net")
		if c := w.took(); len(c) != 2 {
			t.Fatalf("calls: %v", c)
		}
		w.after(10 * 24 * time.Hour)
		if c := w.took(); len(c) != 0 || w.stored() != 1 {
			t.Fatalf("%v; %d stored, want the report kept and not tried again", c, w.stored())
		}
		w.after(21 * 24 * time.Hour)
		if w.stored() != 0 {
			t.Error("kept for more than 30 days")
		}
	})
}

// One message probes a dead host. The others wait for it, but not longer than
// necessary.
func TestDeadHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var dead atomic.Bool
		dead.Store(true)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if dead.Load() && hop.Destination == "dead.example" {
				return refused
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for range 100 {
			w.submit("alice@example.com", "bob@dead.example")
			synctest.Wait()
		}
		w.submit("alice@example.com", "bob@example.net")
		if c := w.took(); len(c) != 2 || c[1].hop != "example.net" {
			t.Fatalf("calls %v; want one to the dead host and one to the other", c)
		}
		w.after(31 * time.Minute)
		if c := w.took(); len(c) != 3 {
			t.Fatalf("calls %v; want one probe every ten minutes", c)
		}
		dead.Store(false)
		w.after(15 * time.Minute)
		if c := w.took(); len(c) != 100 || w.stored() != 0 {
			t.Fatalf("%d calls after the host is back, %d left; want all 100", len(c), w.stored())
		}
	})
}

// Mail for a dead host expires too, and the report has the failure of the host.
func TestDeadHopExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "dead.example" {
				return refused
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for range 20 {
			w.submit("alice@example.com", "bob@dead.example")
		}
		w.after(49 * time.Hour)
		delayed, failed := 0, 0
		for _, c := range w.took() {
			if c.hop != "example.com" {
				continue
			}
			if !strings.Contains(c.text, "connection refused") {
				t.Errorf("the report does not have the reason:\n%s", c.text)
			}
			if strings.Contains(c.text, "Action: delayed") {
				delayed++
			} else if strings.Contains(c.text, "Action: failed") {
				failed++
			}
		}
		if delayed != 20 || failed != 20 || w.stored() != 0 {
			t.Errorf("%d delay notices, %d failed, %d left; want 20, 20, 0", delayed, failed, w.stored())
		}
	})
}

func TestRouteErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		tries := 0
		w.route = func(m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			switch r.Addr {
			case "no@way.example":
				return queue.NextHop{}, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 4}, Message: "No route"}
			case "not@yet.example":
				if tries++; tries < 3 {
					return queue.NextHop{}, errors.New("DNS is down")
				}
			}
			return queue.NextHop{Destination: "there"}, nil
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "no@way.example", "not@yet.example")
		w.after(25 * time.Minute)
		c := w.took()
		if len(c) != 2 || !strings.Contains(c[0].text, "Status: 5.4.4") || c[1].rcpts[0] != "not@yet.example" || w.stored() != 0 {
			t.Errorf("calls %v, %d left", c, w.stored())
		}
	})
}

func TestSubmitErrors(t *testing.T) {
	w := newWorld(t, func(q *queue.Queue) { q.Store = &memory.Store{Max: 1} })
	ctx := context.Background()
	m := message("alice@example.com", "bob@example.net")
	if err := w.q.Submit(ctx, m); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		m    *queue.Message
		code smtp.EnhancedCode
		is   error
	}{
		{message("alice@example.com", "bob@example.net"), smtp.EnhancedCode{4, 3, 1}, queue.ErrFull},
		{message("alice@example.com"), smtp.EnhancedCode{5, 5, 1}, nil},
		{&queue.Message{ID: "a/b", Recipients: queue.Rcpt("b@example.net")}, smtp.EnhancedCode{5, 3, 0}, nil},
	} {
		err := w.q.Submit(ctx, test.m)
		var se *smtp.SMTPError
		if !errors.As(err, &se) || se.EnhancedCode != test.code || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("Submit: %v; want %v", err, test.code)
		}
	}
}

// A next hop without a name is a hop like any other. When it is dead, mail
// whose hop is not known yet does not wait with it.
func TestNoNextHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.route = func(m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			_, domain, _ := strings.Cut(r.Addr, "@")
			return queue.NextHop{Destination: domain}, nil
		}
		first := true
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			switch {
			case hop.Destination == queue.DefaultQueue:
				return refused
			case first:
				first = false
				return says(451, smtp.EnhancedCode{4, 0, 0}, "Not now")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "postmaster")
		synctest.Wait()
		w.submit("alice@example.com", "postmaster", "bob@example.net")
		w.after(11 * time.Minute)
		c := w.took()
		live := 0
		for _, c := range c {
			if c.hop == "example.net" {
				live++
			}
		}
		if live != 2 {
			t.Errorf("%v, want two attempts for example.net", c)
		}
	})
}

// An unreachableStore is a store that cannot be reached.
type unreachableStore struct{ queue.Store }

func (unreachableStore) Put(context.Context, *queue.Message, queue.Schedule) error {
	return fmt.Errorf("%w: connection refused", queue.ErrUnavailable)
}

// While the store cannot be reached, the client keeps the message.
func TestSubmitUnreachable(t *testing.T) {
	w := newWorld(t, func(q *queue.Queue) { q.Store = unreachableStore{q.Store} })
	err := w.q.Submit(t.Context(), message("alice@example.com", "bob@example.net"))
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || !errors.Is(err, queue.ErrUnavailable) {
		t.Fatalf("Submit: %v", err)
	}
	if reply.Code != 451 || reply.EnhancedCode != (smtp.EnhancedCode{4, 3, 0}) || reply.Message != "The store cannot be reached" {
		t.Errorf("reply %v", reply)
	}
}
