package queue_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A holder is a Deliverer that keeps the mail for branch.example waiting until
// open is set.
type holder struct {
	*world
	open atomic.Bool
}

func (h *holder) Pace(hop queue.NextHop) queue.Pace {
	return queue.Pace{Held: hop.Destination == "branch.example" && !h.open.Load()}
}

func branch(h queue.NextHop) bool { return h.Destination == "branch.example" }

// ask opens the hop and retries its mail, as for ETRN.
func (h *holder) ask(want int) {
	h.t.Helper()
	h.open.Store(true)
	n, err := h.q.RetryQueues(context.Background(), branch)
	if err != nil || n != want {
		h.t.Errorf("%d messages were started, %v; want %d", n, err, want)
	}
}

func newHolder(t *testing.T, n int) *holder {
	h := &holder{world: newWorld(t, nil)}
	h.q.Deliverer = h
	h.run()
	synctest.Wait()
	for i := range n {
		h.submit("alice@example.com", fmt.Sprintf("u%02d@branch.example", i))
	}
	synctest.Wait()
	return h
}

func to(calls []call) (rcpts []string) {
	for _, c := range calls {
		rcpts = append(rcpts, c.rcpts...)
	}
	slices.Sort(rcpts)
	return slices.Compact(rcpts)
}

var brokenOff = queue.Result{Outcome: queue.Deferred, Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "connection broken"}}

// A request starts all waiting mail for a receiver, whatever the result of
// earlier attempts: the connection broke, the host did not answer, or it
// deferred the mail.
func TestRequestStartsAllWaitingMail(t *testing.T) {
	for name, before := range map[string]queue.Result{
		"broken off": brokenOff, "no answer": refused, "later": says(451, smtp.EnhancedCode{4, 2, 0}, "later"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 60
				h := newHolder(t, n)
				defer h.shutdown()
				result := before
				h.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result { return result }
				h.ask(n)
				h.after(time.Second)
				if len(h.took()) == 0 {
					t.Fatal("nothing was tried")
				}
				h.open.Store(false) // the receiver has disconnected
				h.after(10 * time.Second)
				h.took()
				result = ok
				h.ask(n)
				h.after(time.Second)
				if got := to(h.took()); len(got) != n || h.stored() != 0 {
					t.Errorf("the second request brought %d of %d messages, %d are left", len(got), n, h.stored())
				}
			})
		})
	}
}

// The receiver disconnects and comes back while its mail is in delivery. Each
// request starts the mail again, however often the hop was found closed in
// between.
func TestRequestAfterReceiverDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 30
		h := newHolder(t, n)
		defer h.shutdown()
		var left atomic.Int32
		h.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if left.Add(-1) < 0 {
				h.open.Store(false)
				return refused
			}
			return ok
		}
		for h.stored() > 0 {
			before := h.stored()
			left.Store(3)
			h.ask(before)
			h.after(2 * time.Second)
			if h.stored() > before-3 {
				t.Fatalf("a request brought %d messages, %d are left", before-h.stored(), h.stored())
			}
		}
	})
}

// Recipients of a message that wait for several receivers are stored separately
// from other mail. A request starts them too, but only those for its receiver.
func TestRequestStartsOnlyItsRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, 1)
		defer h.shutdown()
		h.deliver = greylist
		h.submit("alice@example.com", "captain@branch.example", "bob@slow.example")
		h.submit("alice@example.com", "carol@slow.example")
		later := message("alice@example.com", "mate@branch.example")
		later.Options.Release = time.Now().Add(time.Hour)
		if err := h.q.Submit(context.Background(), later); err != nil {
			t.Fatal(err)
		}
		h.after(time.Second)
		h.took()
		h.ask(2) // not the one with a later Release, nor those of others
		h.after(time.Second)
		if got := to(h.took()); !slices.Equal(got, []string{"captain@branch.example", "u00@branch.example"}) {
			t.Errorf("tried %q", got)
		}
		h.ask(0)
	})
}

// An attempt that began before a request and fails after it is repeated at
// once, because it used the connection that broke.
func TestRequestDuringAttempt(t *testing.T) {
	for name, result := range map[string]queue.Result{"broken off": brokenOff, "no answer": refused} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHolder(t, 1)
				defer h.shutdown()
				first := true
				h.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
					if first {
						first = false
						time.Sleep(time.Minute) // the connection is dead, but no error shows it
						return result
					}
					return ok
				}
				h.ask(1)
				h.after(30 * time.Second)
				h.ask(0) // it is in delivery
				h.after(31 * time.Second)
				if n := len(h.took()); n != 2 || h.stored() != 0 {
					t.Errorf("%d attempts, %d messages left", n, h.stored())
				}
			})
		})
	}
}

// RetryQueue is the request of an operator. Suspended mail does not start.
func TestRetryQueueStartsItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = greylist
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@slow.example")
		m := w.submit("alice@example.com", "carol@slow.example")
		w.after(time.Second)
		w.do(queue.Filter{ID: m.ID}, queue.Suspend(), 1)
		w.took()
		w.q.RetryQueue(context.Background(), queue.NextHop{Connector: "out", Destination: "slow.example"})
		w.after(time.Second)
		if got := to(w.took()); !slices.Equal(got, []string{"bob@slow.example"}) {
			t.Errorf("tried %q", got)
		}
	})
}

// If the message that probes a dead hop is routed to another hop, the other
// mail for the dead hop does not wait longer.
func TestProbeIsRoutedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, _ *queue.Message, _ *queue.Recipient) queue.Result {
			if hop.Destination == "old" {
				return refused
			}
			return ok
		}
		way := "old"
		w.route = func(*queue.Message, *queue.Recipient) (queue.NextHop, error) {
			return queue.NextHop{Connector: "out", Destination: way}, nil
		}
		w.run()
		defer w.shutdown()
		for i := range 20 {
			w.submit("alice@example.com", fmt.Sprintf("u%02d@example.net", i))
		}
		w.after(time.Second)
		w.took()
		way = "new"
		w.q.RetryQueue(context.Background(), queue.NextHop{Connector: "out", Destination: "old"})
		w.after(time.Second)
		if got := to(w.took()); len(got) != 20 || w.stored() != 0 {
			t.Errorf("%d of 20 messages went the new way", len(got))
		}
	})
}
