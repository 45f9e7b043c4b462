package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A steps is a Deliverer whose attempts take time before and after the end of data.
type steps struct {
	*world
	before, after time.Duration
	ended         int // attempts that have sent the end of data
}

func (s *steps) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	canceled := func(err error) []queue.Result {
		r := queue.Result{Outcome: queue.Unreachable, Err: err, Reply: smtp.SMTPError{Code: 421, Message: "canceled"}}
		return []queue.Result{r}
	}
	select {
	case <-time.After(s.before):
	case <-queue.Early(ctx).Done():
		return canceled(queue.Early(ctx).Err())
	}
	if err := queue.MayFinish(ctx); err != nil {
		return canceled(err)
	}
	s.mu.Lock()
	s.ended++
	s.mu.Unlock()
	select {
	case <-time.After(s.after):
	case <-ctx.Done():
		return canceled(ctx.Err())
	}
	return s.world.Deliver(ctx, hop, m, rcpts)
}

// takesTime makes the attempts of a node take time.
func takesTime(before, after time.Duration) func(*testNode) {
	return func(n *testNode) { n.q.Deliverer = &steps{world: n.world, before: before, after: after} }
}

// A node without contact begins no delivery and refuses mail for the moment. When it
// has contact again in time, it delivers what it has.
func TestNodeWithoutContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a"}, func(n *testNode) { n.q.Limits.Hop.Concurrency = 1 })
		defer c.shutdown()
		a := c.node("a")
		a.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			time.Sleep(4 * time.Second)
			return ok
		}
		for i := range 5 {
			a.submit("alice@example.com", fmt.Sprintf("u%d@example.net", i))
		}
		synctest.Wait()
		a.cut()
		if err := a.q.Submit(t.Context(), message("alice@example.com", "late@example.net")); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("Submit: %v", err)
		}
		a.after(time.Hour)
		if got := a.took(); len(got) != 1 || c.stored() != 5 {
			t.Errorf("without contact: %v, %d stored; want the one that was in progress", got, c.stored())
		}
		if st := a.q.State(); st.Recording || st.Limit.Kind != queue.LimitStore {
			t.Errorf("state %+v", st)
		}
		a.reconnect()
		a.after(time.Minute)
		if got := a.took(); len(got) != 4 || c.stored() != 0 {
			t.Errorf("with contact: %v, %d stored; want the other four", got, c.stored())
		}
	})
}

// A node begins no delivery when it has not reported for too long, even if nothing has
// to be recorded, and continues as soon as it has contact.
func TestNodeMayNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a"}, func(n *testNode) {
			n.q.HopLimits = func(queue.NextHop) queue.HopLimits { return queue.HopLimits{Rate: 1. / 20} } // the next begins in 20 s
		})
		defer c.shutdown()
		a := c.node("a")
		a.submit("alice@example.com", "first@example.net")
		a.submit("alice@example.com", "second@example.net")
		a.after(time.Second)
		if got := c.taken(); got != "a: first@example.net" {
			t.Fatal(got)
		}
		a.cut()
		a.after(40 * time.Second)
		if got := c.taken(); got != "" {
			t.Errorf("without contact: %s", got)
		}
		a.reconnect()
		a.after(time.Second)
		if got := c.taken(); got != "a: second@example.net" || c.stored() != 0 {
			t.Errorf("with contact: %q, %d stored", got, c.stored())
		}
	})
}

// When the leases are over, an attempt before the end of data is stopped, and does not
// count as one. An attempt after it is completed, and recorded when the node has
// contact again in time.
func TestAttemptsWithoutContact(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after time.Duration
		inTime        string // deliveries by the time the others may take over
	}{
		{"before the end of data", time.Minute, 0, ""},
		{"after the end of data", time.Second, time.Minute, "a: bob@example.net"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, []string{"a"}, takesTime(tt.before, tt.after))
				defer c.shutdown()
				a := c.node("a")
				events := a.q.Subscribe(0)
				defer events.Close()
				a.submit("alice@example.com", "bob@example.net")
				a.after(5 * time.Second)
				a.cut()
				a.after(testDeadAfter + 2*time.Second)
				if n := a.q.State().Deliveries; (n == 1) != (tt.inTime != "") {
					t.Errorf("%d attempts in progress when the leases are over", n)
				}
				a.after(time.Minute)
				if got := c.taken(); got != tt.inTime || c.stored() != 1 {
					t.Errorf("without contact: %q, %d stored", got, c.stored())
				}
				a.reconnect()
				a.after(2 * time.Second)
				if tt.inTime == "" {
					a.after(2 * time.Minute)
					if got := c.taken(); got != "a: bob@example.net" {
						t.Errorf("with contact: %q", got)
					}
				} else if got := c.taken(); got != "" {
					t.Errorf("delivered twice: %q", got)
				}
				if c.stored() != 0 {
					t.Error("not recorded")
				}
				for len(events.C) > 0 {
					if e := <-events.C; e.Kind == queue.EventDefer {
						t.Errorf("an attempt that was stopped counts: %v", e)
					}
				}
			})
		})
	}
}

// Other nodes deliver the mail of a node that they consider dead. When it comes back,
// it drops what it had, delivers none of it, and works again.
func TestNodeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			takesTime(2*time.Second, 0)(n)
			n.q.Limits.Deliveries = 2
		})
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		for i := range 10 {
			a.submit("alice@example.com", fmt.Sprintf("u%d@example.net", i))
		}
		a.after(time.Second) // two attempts are in progress
		a.cut()
		a.after(testDeadAfter + time.Second)
		a.declareDead()
		b.after(time.Minute)
		delivered := c.taken()
		for i := range 10 {
			if n := strings.Count(delivered, fmt.Sprintf("u%d@", i)); n != 1 {
				// The two in progress had sent the end of data: the others cannot know.
				if i > 1 || n != 2 {
					t.Errorf("u%d was delivered %d times: %s", i, n, delivered)
				}
			}
		}
		a.reconnect()
		a.after(time.Minute)
		if got := c.taken(); got != "" || a.q.State().Active != 0 || c.stored() != 0 {
			t.Errorf("after the return: %q, %d active, %d stored", got, a.q.State().Active, c.stored())
		}
		a.submit("alice@example.com", "again@example.net")
		a.after(10 * time.Second)
		if got := c.taken(); got != "a: again@example.net" {
			t.Errorf("a new message: %q", got)
		}
	})
}

// A node that was declared dead while it had messages in every state drops all of
// them at once, those in progress too, and can claim them again.
func TestNodeLostDropsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a"}, func(n *testNode) {
			takesTime(time.Hour, 0)(n)
			n.q.Limits.Deliveries = 3
		})
		defer c.shutdown()
		a := c.node("a")
		for i := range 20 {
			a.submit("alice@example.com", fmt.Sprintf("u%d@d%d.example", i, i%4))
		}
		synctest.Wait()
		a.declareDead()
		a.drainFirst(c) // so that it does not claim them at once
		a.reconnect()
		a.after(2 * time.Second)
		if st := a.q.State(); st.Active != 0 || st.Deliveries != 0 || c.stored() != 20 {
			t.Errorf("%d active, %d in progress, %d stored", st.Active, st.Deliveries, c.stored())
		}
		if got := c.taken(); got != "" {
			t.Error(got)
		}
		a.q.Deliverer.(*steps).before = 0
		c.drain("a", false)
		a.after(time.Minute)
		if got := len(strings.Fields(c.taken())) - 1; got != 20 || c.stored() != 0 {
			t.Errorf("%d delivered, %d stored", got, c.stored())
		}
	})
}

// drainFirst has the node drain before it handles the next notice.
func (n *testNode) drainFirst(c *testCluster) { c.drain(n.name, true) }

// A node that drains gives its messages to the others at once, except those in
// delivery. It accepts mail, which the others deliver, and delivers again afterwards.
func TestNodeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			takesTime(0, 10*time.Second)(n)
			n.q.Limits.Hop.Concurrency = 2
		})
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		for i := range 12 {
			a.submit("alice@example.com", fmt.Sprintf("u%d@example.net", i))
		}
		a.submit("alice@example.com", "x@one.example", "y@two.example")
		synctest.Wait()
		c.drain("a", true)
		if st := a.q.State(); !st.Drained || st.Limit.Kind != queue.LimitDrained || st.Active > st.Deliveries || st.Deliveries == 0 {
			t.Errorf("while a drains: %+v", st)
		}
		if n := b.q.State().Active; n < 10 {
			t.Errorf("%d messages are active on b at once", n)
		}
		a.submit("alice@example.com", "new@example.net")
		synctest.Wait()
		b.after(5 * time.Minute)
		got := c.taken()
		if n := len(strings.Fields(got)) - 2; n != 15 || c.stored() != 0 || !strings.Contains(got, "b: new@example.net") {
			t.Errorf("%d recipients, %d stored: %s", n, c.stored(), got)
		}
		c.drain("a", false)
		a.submit("alice@example.com", "after@example.net")
		a.after(time.Minute)
		if got := c.taken(); got != "a: after@example.net" {
			t.Errorf("when a does not drain any more: %q", got)
		}
	})
}

// A node that drains when it starts claims nothing.
func TestNodeStartsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, nil)
		a := c.add("a", func(n *testNode) { n.notices <- queue.Notice{Kind: queue.NoticeDrain} })
		defer c.shutdown()
		a.submit("alice@example.com", "bob@example.net")
		a.after(time.Minute)
		if got := c.taken(); got != "" || c.stored() != 1 {
			t.Errorf("%q, %d stored", got, c.stored())
		}
	})
}
