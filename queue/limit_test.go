package queue_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A limitWorld is a world in which attempts can be blocked, and with a Pacer.
type limitWorld struct {
	*world
	pace    atomic.Pointer[queue.Pace]
	blocked chan struct{} // attempts at hops with the name blocked* wait until it is closed
	fails   atomic.Bool   // the store cannot record
}

func (w *limitWorld) Pace(hop queue.NextHop) queue.Pace {
	if p := w.pace.Load(); p != nil {
		return *p
	}
	return queue.Pace{}
}

func (w *limitWorld) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if strings.HasPrefix(m.From, "blocked") {
		<-w.blocked
	}
	return w.world.Deliver(ctx, hop, m, rcpts)
}

// A limitStore cannot record while fails is set.
type limitStore struct {
	*memory.Store
	w *limitWorld
}

func (st limitStore) Remove(ctx context.Context, owner, id string) error {
	if st.w.fails.Load() {
		return queue.ErrReadOnly
	}
	return st.Store.Remove(ctx, owner, id)
}

func (st limitStore) Sync(ctx context.Context) error {
	if st.w.fails.Load() {
		return queue.ErrReadOnly
	}
	return st.Store.Sync(ctx)
}

// info returns the description of a next hop.
func (w *world) info(hop queue.NextHop) queue.QueueInfo {
	w.t.Helper()
	list, err := w.q.Queues(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range list {
		if i.Hop == hop {
			return i
		}
	}
	w.t.Fatalf("Queues does not list %s: %+v", hop, list)
	return queue.QueueInfo{}
}

// Queues says which limit holds the mail of each next hop back.
func TestLimits(t *testing.T) {
	const blocked, other = "blocked@example.com", "alice@example.com"
	ctx := context.Background()
	out := func(domain string) queue.NextHop { return queue.NextHop{Connector: "out", Destination: domain} }
	for _, tc := range []struct {
		name    string
		limits  queue.Limits
		act     func(w *limitWorld)
		hop     queue.NextHop
		want    queue.LimitKind
		text    string
		overall queue.LimitKind // of State
	}{
		{"nothing waits", queue.Limits{}, func(w *limitWorld) {
			w.submit(other, "bob@a.example")
		}, out("a.example"), queue.LimitNone, "", queue.LimitNone},
		{"a delivery is in progress", queue.Limits{}, func(w *limitWorld) {
			w.submit(blocked, "bob@a.example")
		}, out("a.example"), queue.LimitNone, "", queue.LimitNone},
		{"paused", queue.Limits{}, func(w *limitWorld) {
			w.q.Pause(ctx)
			w.submit(other, "bob@a.example")
		}, queue.NextHop{}, queue.LimitPaused, "Deliveries are paused", queue.LimitPaused},
		{"store", queue.Limits{}, func(w *limitWorld) {
			w.fails.Store(true)
			w.submit(other, "bob@a.example")
			synctest.Wait()
			w.submit(other, "bob@a.example")
		}, queue.NextHop{}, queue.LimitStore, "cannot record", queue.LimitStore},
		{"suspended", queue.Limits{}, func(w *limitWorld) {
			suspend(w.t, w.q, out("a.example"))
		}, out("a.example"), queue.LimitSuspended, "Suspended: a.example via out", queue.LimitNone},
		{"schedule", queue.Limits{}, func(w *limitWorld) {
			w.pace.Store(&queue.Pace{Held: true, Until: time.Now().Add(time.Hour)})
			w.submit(other, "bob@a.example")
		}, out("a.example"), queue.LimitSchedule, "schedule", queue.LimitNone},
		{"dead", queue.Limits{}, func(w *limitWorld) {
			w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result { return refused }
			w.submit(other, "bob@a.example")
		}, out("a.example"), queue.LimitRetry, "could not be reached", queue.LimitNone},
		{"deferred", queue.Limits{}, func(w *limitWorld) {
			w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
				return says(451, smtp.EnhancedCode{4, 7, 1}, "later")
			}
			w.submit(other, "bob@a.example")
		}, out("a.example"), queue.LimitRetry, "wait for their next attempt", queue.LimitNone},
		{"probe", queue.Limits{}, func(w *limitWorld) {
			w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result { return refused }
			w.submit(other, "bob@a.example")
			synctest.Wait()
			w.deliver = nil
			w.submit(blocked, "bob@a.example")
			w.do(queue.Filter{From: other}, queue.Remove(false), 1)
			w.q.RetryQueue(ctx, out("a.example"))
		}, out("a.example"), queue.LimitProbe, "probes", queue.LimitNone},
		{"concurrency", queue.Limits{Hop: queue.HopLimits{Concurrency: 7, Start: 1}}, func(w *limitWorld) {
			w.submit(blocked, "bob@a.example")
			w.submit(blocked, "bob@a.example")
		}, out("a.example"), queue.LimitConcurrency, "1 deliveries to this next hop at a time (HopLimits.Concurrency is 7)", queue.LimitNone},
		{"pacer concurrency", queue.Limits{}, func(w *limitWorld) {
			w.pace.Store(&queue.Pace{MaxConcurrency: 1})
			w.submit(blocked, "bob@a.example")
			w.submit(blocked, "bob@a.example")
		}, out("a.example"), queue.LimitPacerConcurrency, "1 deliveries", queue.LimitNone},
		{"rate", queue.Limits{Hop: queue.HopLimits{Rate: 0.25}}, func(w *limitWorld) {
			w.submit(other, "bob@a.example")
			w.submit(other, "bob@a.example")
		}, out("a.example"), queue.LimitRate, "0.25 deliveries to this next hop per second", queue.LimitNone},
		{"host", queue.Limits{Hop: queue.HopLimits{Concurrency: 1}}, func(w *limitWorld) {
			w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
				r := ok
				r.Addr = "192.0.2.1"
				return r
			}
			w.submit(other, "bob@a.example")
			w.submit(other, "bob@b.example")
			synctest.Wait()
			w.submit(blocked, "bob@b.example")
			synctest.Wait()
			w.submit(blocked, "bob@a.example")
		}, out("a.example"), queue.LimitHost, "other next hops use its connections", queue.LimitNone},
		{"deliveries", queue.Limits{Deliveries: 1}, func(w *limitWorld) {
			w.submit(blocked, "bob@b.example")
			synctest.Wait()
			w.submit(blocked, "bob@a.example")
		}, out("a.example"), queue.LimitDeliveries, "1 deliveries at a time in all", queue.LimitDeliveries},
		{"total rate", queue.Limits{Rate: 0.5}, func(w *limitWorld) {
			w.submit(other, "bob@b.example")
			synctest.Wait()
			w.submit(other, "bob@a.example")
		}, out("a.example"), queue.LimitTotalRate, "0.5 deliveries per second in all", queue.LimitTotalRate},
		{"unresponsive", queue.Limits{Deliveries: 4}, func(w *limitWorld) {
			for _, to := range []string{"bob@c.example", "bob@b.example", "bob@a.example"} {
				w.submit(blocked, to)
				synctest.Wait()
			}
		}, out("a.example"), queue.LimitUnresponsive, "half of Limits.Deliveries, 4", queue.LimitUnresponsive},
		{"active", queue.Limits{Active: 8, Hop: queue.HopLimits{Active: 8}}, func(w *limitWorld) {
			for range 8 {
				w.submit(blocked, "bob@b.example")
			}
			synctest.Wait()
			w.submit(other, "bob@a.example")
		}, queue.NextHop{}, queue.LimitActive, "8 messages in memory", queue.LimitActive},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &limitWorld{blocked: make(chan struct{})}
				w.world = newWorld(t, func(q *queue.Queue) { q.Limits = tc.limits })
				w.q.Store, w.q.Deliverer = limitStore{w.store, w}, w
				w.run()
				synctest.Wait()
				tc.act(w)
				synctest.Wait()
				i := w.info(tc.hop)
				if i.Limit.Kind != tc.want || !strings.Contains(i.Limit.Text, tc.text) || (i.Limit.Text == "") != (tc.want == queue.LimitNone) {
					t.Errorf("%+v, want %v with %q", i.Limit, tc.want, tc.text)
				}
				if st := w.q.State(); st.Limit.Kind != tc.overall {
					t.Errorf("State: %+v, want %v", st.Limit, tc.overall)
				}
				w.fails.Store(false)
				close(w.blocked)
				w.shutdown()
			})
		})
	}
}

// A Queue that does not run delivers nothing, and says so.
func TestLimitStopped(t *testing.T) {
	w := newWorld(t, nil)
	w.submit("alice@example.com", "bob@example.net")
	if l := w.info(queue.NextHop{}).Limit; l.Kind != queue.LimitStopped || l.Text != "The queue is not running" {
		t.Errorf("%+v", l)
	}
}

// A message that may have crashed the process is tried alone. The others wait.
func TestLimitAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &limitWorld{blocked: make(chan struct{})}
		w.world = newWorld(t, nil)
		w.q.Deliverer = w
		m := message("blocked@example.com", "bob@b.example")
		m.ID, m.Interrupted, m.Received = "suspect", 2, time.Now()
		if err := w.store.Put(context.Background(), m, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.after(time.Second)
		w.submit("alice@example.com", "bob@a.example")
		w.after(time.Second)
		if st := w.q.State(); st.Limit.Kind != queue.LimitAlone || st.Active != 2 || st.Deliveries != 1 || st.Limits.Active != 20000 {
			t.Errorf("%+v", st)
		}
		close(w.blocked)
		w.shutdown()
	})
}
