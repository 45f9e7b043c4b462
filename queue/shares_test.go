package queue_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Hosts that say nothing have half of the slots at most. Mail for a host that
// answers, also for one that is new, does not wait for them.
func TestSilentHostsLeaveSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var silent, most atomic.Int64
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if strings.HasPrefix(hop.Destination, "live") {
				return ok
			}
			most.Store(max(most.Load(), silent.Add(1)))
			<-time.After(30 * time.Second)
			silent.Add(-1)
			return refused
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for i := range 5000 {
			w.submit("alice@example.com", fmt.Sprintf("bob@silent%d.example", i))
		}
		w.took()
		for i := range 100 {
			for _, host := range []string{"live.example", fmt.Sprintf("live%d.example", i)} {
				before := time.Now()
				w.submit("alice@example.com", "bob@"+host)
				for live := false; !live; {
					w.after(time.Millisecond)
					for _, c := range w.took() {
						live = live || c.hop == host
					}
				}
				if waited := time.Since(before); waited > time.Second {
					t.Errorf("mail for %s waited %v", host, waited)
				}
			}
			w.after(2 * time.Second)
		}
		if most.Load() > 250 {
			t.Errorf("%d attempts at silent hosts at a time, of 500", most.Load())
		}
	})
}

// A connector that needs less than its share gets all that it needs, beside one
// with many hops and a backlog for each.
func TestConnectorsShareSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hops, backlog = 1000, 100
		w := newWorld(t, func(q *queue.Queue) { q.Limits = queue.Limits{Deliveries: 100, Active: 4000} })
		w.route = func(m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			_, domain, _ := strings.Cut(r.Addr, "@")
			if domain == "internal.example" {
				return queue.NextHop{Connector: "internal", Destination: domain}, nil
			}
			return queue.NextHop{Connector: "internet", Destination: domain}, nil
		}
		var longest, n atomic.Int64
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(50 * time.Millisecond)
			if hop.Connector == "internal" {
				n.Add(1)
				longest.Store(max(longest.Load(), int64(time.Since(m.Received))))
			}
			return ok
		}
		for i := range hops * backlog {
			w.submit("alice@example.com", fmt.Sprintf("bob@h%d.example", i%hops))
		}
		w.run()
		defer w.shutdown()
		w.after(time.Second)
		for range 1000 {
			w.submit("alice@example.com", "bob@internal.example")
			w.after(5 * time.Millisecond)
		}
		w.after(time.Second)
		if n.Load() != 1000 {
			t.Errorf("%d of 1000 messages of the small connector were delivered", n.Load())
		}
		if l := time.Duration(longest.Load()); l > time.Second {
			t.Errorf("its mail took up to %v", l)
		}
	})
}

// Domains of one host count as one: while the host is silent, only one of them
// is tried.
func TestDomainsOfOneHostCountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var now, most, calls atomic.Int64
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			calls.Add(1)
			defer now.Add(-1)
			if now.Add(1) > 1 {
				return queue.Result{Outcome: queue.Busy, Addr: "192.0.2.1:25"}
			}
			most.Store(max(most.Load(), now.Load()))
			<-time.After(30 * time.Second)
			r2 := refused
			r2.Addr = "192.0.2.1:25"
			return r2
		}
		w.run()
		defer w.shutdown()
		for i := range 500 {
			w.submit("alice@example.com", fmt.Sprintf("bob@d%d.example", i))
		}
		w.after(10 * time.Minute)
		if most.Load() != 1 {
			t.Errorf("%d attempts at a time", most.Load())
		}
		// Each domain is found busy until it is known what its host is: 10 times
		// in 30 s. Then one is tried in 30 s.
		if n := calls.Load(); n > 500*10+30 {
			t.Errorf("Deliver was called %d times", n)
		}
	})
}
