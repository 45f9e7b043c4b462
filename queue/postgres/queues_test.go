package postgres

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A relay is a Queue on a Store, as one of several nodes. Its Deliverer delivers to
// each domain that is not down.
type relay struct {
	*Store
	q    *queue.Queue
	sent chan string // the recipients of the attempts, with the node
	down *domains
	end  func()
}

// domains are the domains that are down.
type domains struct {
	mu    sync.Mutex
	names map[string]bool // guarded by mu
}

func (d *domains) set(name string, down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name] = down
}

func (r *relay) Route(_ context.Context, _ *queue.Message, rcpt *queue.Recipient) (queue.NextHop, error) {
	_, domain, _ := strings.Cut(rcpt.Addr, "@")
	return queue.NextHop{Connector: "out", Destination: domain}, nil
}

func (r *relay) Deliver(ctx context.Context, hop queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	r.down.mu.Lock()
	down := r.down.names[hop.Destination]
	r.down.mu.Unlock()
	for i, rcpt := range rcpts {
		results[i] = queue.Done()
		if down {
			results[i] = queue.Result{Outcome: queue.Deferred, Host: "mx." + hop.Destination,
				Reply: smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "later"}}
		}
		select {
		case r.sent <- rcpt.Addr + " by " + r.Name():
		case <-ctx.Done():
		}
	}
	return results
}

// newRelays returns running relays with these names on one database, and what they send.
func newRelays(t *testing.T, open func(*testing.T, string, *Options) *Store, names ...string) (relays []*relay, sent chan string, down *domains) {
	url := pgtest.Database(t)
	sent, down = make(chan string, 100), &domains{names: map[string]bool{}}
	for _, name := range names {
		o := steady(name)
		relays = append(relays, newRelay(t, open(t, url, o), sent, down))
	}
	return relays, sent, down
}

func newRelay(t *testing.T, s *Store, sent chan string, down *domains) *relay {
	r := &relay{Store: s, sent: sent, down: down}
	r.q = &queue.Queue{Store: s, Deliverer: r, Hostname: s.Name() + ".example.com", Retry: queue.Retry{Intervals: []time.Duration{time.Hour}}}
	ended := make(chan error)
	go func() { ended <- r.q.Run(context.WithoutCancel(t.Context())) }()
	r.end = sync.OnceFunc(func() {
		if err := r.q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.end)
	return r
}

func (r *relay) submit(t *testing.T, to string) {
	t.Helper()
	m := newMessage("")
	m.Recipients, m.Received = queue.Rcpt(to), time.Time{}
	if err := r.q.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// suspensions returns the number of suspensions that the node knows.
func suspensions(t *testing.T, r *relay) int {
	t.Helper()
	all, err := r.q.Suspensions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// wantSent waits for an attempt, and returns the node that made it.
func wantSent(t *testing.T, sent chan string, to string) (by string) {
	t.Helper()
	select {
	case got := <-sent:
		addr, by, _ := strings.Cut(got, " by ")
		if addr != to {
			t.Fatalf("an attempt at %s, want %s", got, to)
		}
		return by
	case <-time.After(time.Minute):
		t.Fatalf("no attempt at %s", to)
	}
	return ""
}

// What an operator or a client asks of one node happens on the node that has the mail,
// with LISTEN and without.
func TestOneQueue(t *testing.T) {
	t.Parallel()
	for name, by := range reach {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relays, sent, down := newRelays(t, by, "a", "b")
			for i, r := range relays {
				other := relays[1-i]
				domain := r.Name() + ".example"
				hop := queue.NextHop{Connector: "out", Destination: domain}
				to := "bob@" + domain
				down.set(domain, true)
				r.submit(t, to)
				wantSent(t, sent, to)
				eventually(t, "the message waits", func() bool {
					sums, err := other.q.Queues(t.Context())
					return err == nil && slices.ContainsFunc(sums, func(s queue.QueueInfo) bool { return s.Hop == hop })
				})
				// RetryQueues, as ETRN and ATRN do, from each node.
				for _, asked := range relays {
					if _, err := asked.q.RetryQueues(t.Context(), func(h queue.NextHop) bool { return h == hop }); err != nil {
						t.Fatal(err)
					}
					wantSent(t, sent, to)
				}
				// A suspension holds on both nodes, and its end makes the mail due.
				if _, err := other.q.Suspend(t.Context(), queue.Suspension{Hop: hop, Reason: "test"}); err != nil {
					t.Fatal(err)
				}
				eventually(t, "suspension", func() bool { return suspensions(t, r) == 1 })
				down.set(domain, false)
				if _, err := r.q.RetryQueues(t.Context(), func(h queue.NextHop) bool { return h == hop }); err != nil {
					t.Fatal(err)
				}
				if err := other.q.Lift(t.Context(), queue.Suspension{Hop: hop}); err != nil {
					t.Fatal(err)
				}
				wantSent(t, sent, to)
				eventually(t, "end", func() bool { return suspensions(t, r) == 0 && len(stored(t, r.Store)) == 0 })
			}
		})
	}
}

// A node that drains gives its mail to the other, and still accepts mail, which the
// other delivers. It also drains after a restart.
func TestDrainedQueue(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	sent, down := make(chan string, 100), &domains{names: map[string]bool{}}
	o := steady("a")
	a := newRelay(t, open(t, url, o), sent, down)
	down.set("down.example", true)
	a.submit(t, "bob@down.example")
	wantSent(t, sent, "bob@down.example") // it waits, and a may have leased it

	drain := func(off bool) {
		t.Helper()
		if err := a.Drain(t.Context(), queue.Draining{Node: "a", Off: off, By: "vera", Reason: "a new disk"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "drain", func() bool { return a.q.State().Drained == !off })
	}
	drain(false)
	eventually(t, "the messages are given back", func() bool {
		return one[int](t, a.Store, `select count(*) from bridgehead.message where node is not null`) == 0
	})
	o.Node = "b"
	b := newRelay(t, open(t, url, o), sent, down)
	for range 5 {
		a.submit(t, "carol@up.example")
	}
	for range 5 {
		if by := wantSent(t, sent, "carol@up.example"); by != "b" {
			t.Errorf("%s has delivered", by)
		}
	}
	down.set("down.example", false)
	if _, err := a.q.RetryQueues(t.Context(), func(queue.NextHop) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if by := wantSent(t, sent, "bob@down.example"); by != "b" {
		t.Errorf("%s has delivered", by)
	}

	a.end()
	a.Close()
	b.end()
	b.Close() // no queue delivers now
	o.Node = "a"
	a = newRelay(t, open(t, url, o), sent, down)
	eventually(t, "drained after the restart", func() bool { return a.q.State().Drained })
	a.submit(t, "dave@up.example")
	beats := func() int {
		return one[int](t, a.Store, `select beat from bridgehead.node where id = $1`, a.node.id.Load())
	}
	before := beats()
	eventually(t, "some time", func() bool { return beats() > before+3 })
	select {
	case got := <-sent:
		t.Errorf("an attempt at %s", got)
	default:
	}
	drain(true)
	if by := wantSent(t, sent, "dave@up.example"); by != "a" {
		t.Errorf("%s has delivered", by)
	}
}
