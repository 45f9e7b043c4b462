package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// store stores a message.
func store(t testing.TB, s *Store, id string, sched queue.Schedule) {
	t.Helper()
	if err := s.Put(t.Context(), newMessage(id), sched); err != nil {
		t.Fatal(err)
	}
}

// claim waits until owner has leased one message of s, and returns its ID.
func claim(t testing.TB, s *Store, owner string) (id string) {
	t.Helper()
	eventually(t, "claim by "+owner, func() bool {
		ms, err := s.Claim(t.Context(), nowClaim(owner, 1))
		if err == nil && len(ms) == 1 {
			id = ms[0].ID
		}
		return id != ""
	})
	return id
}

// mayAll returns the errors of MayBegin and MayFinish.
func mayAll(s *Store, owner, id string) error {
	return errors.Join(s.MayBegin(owner, id), s.MayFinish(owner, id))
}

// A node whose network is cut begins and ends no attempt, and the other takes its mail
// over. When it is back, it has lost its leases, and works again.
func TestCutNetwork(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*pgtest.Proxy) (mend func()){
		"connections break": func(p *pgtest.Proxy) func() { p.Down(); return p.Up },
		"packets are lost":  func(p *pgtest.Proxy) func() { p.Stall(); return p.Continue },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			proxy := pgtest.Shared(t).Proxy(t)
			o := quick("a")
			o.DeadAfter = 2 * time.Second
			a := open(t, url, o)
			o.Node = "b"
			b := open(t, proxy.URL(url), o)
			store(t, b, "one", leasedTo("qb"))
			if err := mayAll(b, "qb", "one"); err != nil {
				t.Fatal(err)
			}
			old := b.node.id.Load()

			mend := cut(proxy)
			eventually(t, "MayBegin fails", func() bool { return b.MayBegin("qb", "one") != nil })
			if id := claim(t, a, "qa"); id != "one" {
				t.Fatalf("a has claimed %s", id)
			}
			if err := b.MayFinish("qb", "one"); !isLost(err) {
				t.Errorf("MayFinish when another node has the message: %v", err)
			}
			if err := b.StoreStats().Err; !errors.Is(err, queue.ErrUnavailable) {
				t.Errorf("StoreStats without contact: %v", err)
			}
			b.Remove(t.Context(), "qb", "one") // what it has done cannot be recorded
			mend()
			awaitNotice(t, b, queue.NoticeLost)
			awaitNotice(t, b, queue.NoticeContact)
			if id := b.node.id.Load(); id == old || id == 0 {
				t.Errorf("the incarnation %d after %d", id, old)
			}
			if err := b.MayFinish("qb", "one"); !isLost(err) {
				t.Errorf("MayFinish afterwards: %v", err)
			}
			eventually(t, "Sync", func() bool { return b.Sync(t.Context()) == nil })
			if err := mayAll(a, "qa", "one"); err != nil {
				t.Errorf("the other node: %v", err)
			}
			if got := stored(t, a); len(got) != 1 {
				t.Errorf("stored: %q", got)
			}
			store(t, a, "two", queue.Schedule{})
			if id := claim(t, b, "qb"); id != "two" {
				t.Errorf("b has claimed %s", id)
			}
			if err := mayAll(b, "qb", "two"); err != nil {
				t.Errorf("after all: %v", err)
			}
		})
	}
}

// Time without a database is not a missed beat: after an outage that is longer than
// DeadAfter, all nodes have their messages.
func TestOutageIsNoMissedBeat(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	proxy := pgtest.Shared(t).Proxy(t)
	stores := map[string]*Store{}
	ids := map[string]int64{}
	for _, name := range []string{"a", "b"} {
		o := quick(name)
		o.Beat, o.DeadAfter = 200*time.Millisecond, 2*time.Second
		s := open(t, proxy.URL(url), o)
		store(t, s, name, leasedTo("q"))
		stores[name], ids[name] = s, s.node.id.Load()
	}
	proxy.Down()
	for name, s := range stores {
		eventually(t, "no contact", func() bool { return isLost(s.MayFinish("q", name)) })
	}
	proxy.Up()
	for name, s := range stores {
		awaitNotice(t, s, queue.NoticeContact)
		if err := mayAll(s, "q", name); err != nil {
			t.Errorf("%s after the outage: %v", name, err)
		}
	}
	// Each has looked at the other for a whole DeadAfter then.
	var before int64
	beats := func() int64 { return one[int64](t, stores["a"], `select min(beat) from bridgehead.node`) }
	before = beats()
	eventually(t, "beats for DeadAfter", func() bool { return beats() > before+11 })
	for name, s := range stores {
		if id := s.node.id.Load(); id != ids[name] {
			t.Errorf("%s has the incarnation %d, not %d", name, id, ids[name])
		}
		if err := mayAll(s, "q", name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := one[int](t, stores["a"], `select count(*) from bridgehead.node where state = 'alive'`); n != 2 {
		t.Errorf("%d nodes are alive", n)
	}
	if n := one[int](t, stores["a"], `select count(*) from bridgehead.message where lease = 1 and node is not null`); n != 2 {
		t.Errorf("%d messages have their leases", n)
	}
}
