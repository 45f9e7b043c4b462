package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A table is an application's table of delivery results.
type table struct {
	mu   sync.Mutex
	rows []string
	err  error                       // what FinalResults returns
	wait func(ctx context.Context)   // what it waits for first
	errs func(*queue.Recipient) bool // if set, it fails only for these
}

func (t *table) add(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) error {
	if t.wait != nil {
		t.wait(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rcpts {
		if t.err != nil && (t.errs == nil || t.errs(r)) {
			return t.err
		}
		t.rows = append(t.rows, fmt.Sprintf("%s: %s, %d", r.Addr, r.Status, r.Last.Reply.Code))
	}
	return nil
}

// took returns the rows since the last call, sorted.
func (t *table) took() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := t.rows
	t.rows = nil
	slices.Sort(rows)
	return strings.Join(rows, "; ")
}

func (t *table) fails(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

// resultsWorld is a world whose queue passes final results to a table.
func resultsWorld(t *testing.T, change func(*queue.Queue)) (*world, *table) {
	table := new(table)
	w := newWorld(t, func(q *queue.Queue) {
		q.FinalResults = table.add
		if change != nil {
			change(q)
		}
	})
	w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
		switch {
		case strings.HasPrefix(r.Addr, "unknown"):
			return says(550, smtp.EnhancedCode{5, 1, 1}, "unknown")
		case strings.HasPrefix(r.Addr, "later"):
			return says(451, smtp.EnhancedCode{4, 2, 0}, "later")
		}
		return ok
	}
	return w, table
}

func wantRows(t *testing.T, table *table, want string) {
	t.Helper()
	synctest.Wait()
	if got := table.took(); got != want {
		t.Errorf("the table got\n\t%s\nwant\n\t%s", got, want)
	}
}

// Each recipient has one final result, at once when it has ended, whatever the
// others of its message do. The report on a failure has none.
func TestFinalResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@example.net", "unknown@example.net", "later@example.net")
		wantRows(t, table, "bob@example.net: delivered, 250; unknown@example.net: failed, 550")
		w.after(47 * time.Hour)
		wantRows(t, table, "")
		w.after(2 * time.Hour)
		wantRows(t, table, "later@example.net: expired, 451")
		if n := w.stored(); n != 0 {
			t.Errorf("%d messages are left in the store", n)
		}
	})
}

// While FinalResults fails, the message stays in the store and shows why. It is
// called again after 5, 10, 20 seconds and so on. Other mail is delivered.
func TestFinalResultsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		var calls atomic.Int64
		table.wait = func(context.Context) { calls.Add(1) }
		table.err = errors.New("the database is down")
		w.run()
		defer w.shutdown()
		m := w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		if got := w.status(m.ID); got != queue.MessageResults {
			t.Errorf("the message is %v", got)
		}
		for i, want := range []int64{1, 2, 2, 3, 3, 3, 3, 4, 4} { // at 0, 5, 15, 35
			if calls := calls.Load(); calls != want {
				t.Errorf("after %v: %d calls, want %d", time.Duration(5*i)*time.Second, calls, want)
			}
			w.after(5 * time.Second)
		}
		if c := w.took(); len(c) != 1 {
			t.Errorf("the message was sent %d times", len(c))
		}
		info, err := w.q.Message(t.Context(), m.ID)
		if err != nil || info.Recipients[0].ResultTries != int(calls.Load()) || !slices.Contains(info.Hops, queue.NextHop{Connector: queue.FinalResultsQueue, Destination: queue.FinalResultsQueue}) {
			t.Errorf("%+v, %v", info, err)
		}
		table.fails(nil)
		w.do(queue.Filter{Status: queue.MessageResults}, queue.RetryNow(), 1)
		wantRows(t, table, "bob@example.net: delivered, 250")
		if n := w.stored(); n != 0 {
			t.Errorf("%d messages are left in the store", n)
		}
	})
}

// A result that is never accepted is given up, so that the store does not grow
// without limit.
func TestFinalResultsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		var calls atomic.Int64
		table.wait = func(context.Context) { calls.Add(1); panic("a fault of the application") }
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@example.net")
		w.after(4 * 24 * time.Hour)
		if w.stored() != 1 {
			t.Error("the result was given up after less than four days")
		}
		w.after(2 * 24 * time.Hour)
		if w.stored() != 0 || calls.Load() != 128 {
			t.Errorf("%d messages are left in the store after %d calls", w.stored(), calls.Load())
		}
	})
}

// Calls that do not return have a tenth of the slots, until they are canceled.
// Deliveries continue.
func TestFinalResultsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, func(q *queue.Queue) { q.Limits.Deliveries = 20 })
		hang, most := 0, 0
		table.wait = func(ctx context.Context) {
			table.mu.Lock()
			hang++
			most = max(most, hang)
			table.mu.Unlock()
			<-ctx.Done()
			table.mu.Lock()
			hang--
			table.mu.Unlock()
		}
		table.err = context.DeadlineExceeded
		w.run()
		defer w.shutdown()
		for i := range 100 {
			w.submit("alice@example.com", fmt.Sprintf("bob@host%d.example", i))
		}
		w.after(30 * time.Second)
		if n := len(w.took()); n != 100 {
			t.Errorf("%d of 100 messages were delivered", n)
		}
		w.after(time.Minute)
		if most != 2 {
			t.Errorf("%d calls at the same time", most)
		}
	})
}

// Results that were not accepted are passed on after a restart.
func TestFinalResultsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, first := resultsWorld(t, nil)
		first.err = errors.New("the database is down")
		w.run()
		w.submit("alice@example.com", "bob@example.net", "unknown@example.net", "later@example.net")
		synctest.Wait()
		w.shutdown()
		w.took()
		next, table := resultsWorld(t, func(q *queue.Queue) { q.Store = w.store })
		next.run()
		defer next.shutdown()
		next.after(time.Minute)
		wantRows(t, table, "bob@example.net: delivered, 250; unknown@example.net: failed, 550")
		for _, c := range next.took() {
			if slices.Contains(c.rcpts, "bob@example.net") || slices.Contains(c.rcpts, "unknown@example.net") {
				t.Errorf("%v: delivered again", c)
			}
		}
	})
}

// Without FinalResults, messages that wait for it are removed.
func TestFinalResultsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, first := resultsWorld(t, nil)
		first.err = errors.New("the database is down")
		w.run()
		w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		w.shutdown()
		next := newWorld(t, func(q *queue.Queue) { q.Store = w.store })
		next.run()
		defer next.shutdown()
		next.after(time.Minute)
		if n, c := w.stored(), next.took(); n != 0 || len(c) != 0 {
			t.Errorf("%d messages are left in the store, %v", n, c)
		}
	})
}

// A message that an operator removes has a result too. When it waits only for
// FinalResults, a second removal gives the result up.
func TestFinalResultsOfRemovedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "later@example.net")
		synctest.Wait()
		w.do(queue.Filter{}, queue.Remove(false), 1)
		w.after(time.Second)
		wantRows(t, table, "later@example.net: removed, 554")
		table.fails(errors.New("the database is down"))
		w.submit("alice@example.com", "later@example.net")
		synctest.Wait()
		w.do(queue.Filter{}, queue.Remove(false), 1)
		w.after(time.Second)
		w.do(queue.Filter{Status: queue.MessageResults}, queue.Remove(false), 1)
		w.after(time.Second)
		if n := w.stored(); n != 0 {
			t.Errorf("%d messages are left in the store", n)
		}
	})
}

// Bad mail has one result, when it fails; its removal has none. So has a
// suspended message after it was resumed.
func TestFinalResultsOfMailSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		w.run()
		defer w.shutdown()
		w.submit("", "unknown@example.net")
		wantRows(t, table, "unknown@example.net: failed, 550")
		w.do(queue.Filter{Status: queue.MessageBad}, queue.Remove(false), 1)
		w.after(time.Minute)
		wantRows(t, table, "")

		table.fails(errors.New("the database is down"))
		m := w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		w.do(queue.Filter{}, queue.Suspend(), 1)
		table.fails(nil)
		w.after(time.Hour)
		wantRows(t, table, "")
		if got := w.status(m.ID); got != queue.MessageSuspended {
			t.Errorf("the message is %v", got)
		}
		w.do(queue.Filter{}, queue.Resume(), 1)
		w.after(time.Second)
		wantRows(t, table, "bob@example.net: delivered, 250")
	})
}

// An operator can suspend all calls of FinalResults as a queue.
func TestFinalResultsSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		w.run()
		defer w.shutdown()
		final := queue.NextHop{Connector: queue.FinalResultsQueue, Destination: queue.FinalResultsQueue}
		suspend(t, w.q, final)
		w.submit("alice@example.com", "bob@example.net", "later@example.net")
		w.after(48*time.Hour + time.Minute)
		wantRows(t, table, "")
		if n := w.stored(); n != 1 {
			t.Errorf("%d messages are in the store", n)
		}
		lift(t, w.q, final)
		w.after(time.Minute)
		wantRows(t, table, "bob@example.net: delivered, 250; later@example.net: expired, 451")
	})
}

// The name of the queue of results is not a next hop for mail.
func TestFinalResultsIsNotANextHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, table := resultsWorld(t, nil)
		w.route = func(*queue.Message, *queue.Recipient) (queue.NextHop, error) {
			return queue.NextHop{Connector: queue.FinalResultsQueue, Destination: queue.FinalResultsQueue}, nil
		}
		w.run()
		defer w.shutdown()
		m := w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		wantRows(t, table, "")
		if got := w.status(m.ID); got != queue.MessageRetry {
			t.Errorf("the message is %v", got)
		}
	})
}
