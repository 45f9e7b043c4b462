package queue_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An onDemand is a Deliverer that keeps all mail until it is requested.
type onDemand struct {
	*world
	mu   sync.Mutex // guards open
	open []queue.NextHop
}

func (d *onDemand) Pace(hop queue.NextHop) queue.Pace {
	d.mu.Lock()
	defer d.mu.Unlock()
	return queue.Pace{Held: !slices.Contains(d.open, hop)}
}

func (d *onDemand) Release(hop queue.NextHop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = append(d.open, hop)
}

// A retry releases the mail of the hops that it retries, each once, and no other.
func TestRetryReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &onDemand{world: newWorld(t, nil)}
		d.q.Deliverer = d
		d.run()
		defer d.shutdown()
		for _, to := range []string{"a@branch.example", "b@branch.example", "c@example.net"} {
			d.submit("alice@example.com", to)
		}
		d.after(time.Hour)
		if got := to(d.took()); len(got) != 0 {
			t.Fatalf("%v came before the request", got)
		}
		if n, err := d.q.RetryQueues(t.Context(), branch); n != 2 || err != nil {
			t.Errorf("%d messages, %v", n, err)
		}
		d.after(time.Second)
		if got := to(d.took()); !slices.Equal(got, []string{"a@branch.example", "b@branch.example"}) || len(d.open) != 1 {
			t.Errorf("%v came, released: %v", got, d.open)
		}
		if n, err := d.q.Do(t.Context(), queue.Filter{Recipient: "c@example.net"}, queue.RetryNow()); n != 1 || err != nil {
			t.Errorf("RetryNow: %d messages, %v", n, err)
		}
		d.after(time.Second)
		if got := to(d.took()); !slices.Contains(got, "c@example.net") {
			t.Errorf("%v came after RetryNow", got)
		}
	})
}

// RetryNow releases mail whose next hop the store does not have: it has just been
// submitted, or waits for several hops.
func TestRetryNowReleases(t *testing.T) {
	for name, later := range map[string]time.Duration{"at once": 0, "later": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &onDemand{world: newWorld(t, nil)}
				d.q.Deliverer = d
				d.submit("alice@example.com", "a@branch.example", "b@example.net")
				d.submit("alice@example.com", "c@branch.example")
				d.run()
				defer d.shutdown()
				if later > 0 {
					d.after(later)
				}
				if n, err := d.q.Do(t.Context(), queue.Filter{}, queue.RetryNow()); n != 2 || err != nil {
					t.Errorf("%d messages, %v", n, err)
				}
				d.after(time.Second)
				if got := to(d.took()); len(got) != 3 {
					t.Errorf("%v came", got)
				}
			})
		})
	}
}

// A retry on one node releases the mail that another node has.
func TestRetryReleasesOnOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []*onDemand
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			d := &onDemand{world: n.world}
			n.q.Deliverer, all = d, append(all, d)
		})
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		c.drain("a", true) // so that the mail is b's
		b.submit("alice@example.com", "bob@example.net")
		b.after(time.Second)
		if got := c.taken(); got != "" {
			t.Fatalf("%s came before the request", got)
		}
		if _, err := a.q.RetryQueues(t.Context(), func(queue.NextHop) bool { return true }); err != nil {
			t.Error(err)
		}
		b.after(time.Second)
		if got := c.taken(); got != "b: bob@example.net" {
			t.Errorf("%q came", got)
		}
	})
}

// A Release that panics is as one that does nothing.
func TestReleasePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.q.Deliverer = panickyReleaser{w}
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		if _, err := w.q.RetryQueues(t.Context(), func(queue.NextHop) bool { return true }); err != nil {
			t.Error(err)
		}
		w.after(time.Second)
		if got := to(w.took()); !slices.Equal(got, []string{"bob@example.net"}) {
			t.Errorf("%v came", got)
		}
	})
}

type panickyReleaser struct{ *world }

func (panickyReleaser) Pace(queue.NextHop) queue.Pace { return queue.Pace{} }
func (panickyReleaser) Release(queue.NextHop)         { panic("a fault") }
