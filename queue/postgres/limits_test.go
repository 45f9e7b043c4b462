package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A slotUser is a model of a Queue that needs slots of one limit.
type slotUser struct {
	*Store
	key                string
	slots, using, want int
}

// ask makes a demand as a Queue does: until the answer, it uses no more than it says.
func (u *slotUser) ask(ctx context.Context, limit int) error {
	want := max(u.want, u.using)
	have := max(u.using, min(u.slots, want))
	u.slots = min(u.slots, have)
	grants, err := u.ShareLimits(ctx, []queue.LimitDemand{{Key: u.key, Slots: limit, Have: have, Want: want}})
	if err == nil {
		u.slots = grants[0].Slots
	}
	return err
}

// lasting are options of a node that does not die, however slow the machine is.
func lasting(name string) *Options { return &Options{Node: name, Connections: 3} }

// What a node does not use is free for the others: if it wants less, if it is closed, and
// if it dies. What it has is taken until it has said that it has less.
func TestShareLimits(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	options := func(name string) *Options {
		o := lasting(name)
		o.Pooler, o.Beat, o.DeadAfter = name == "b", 300*time.Millisecond, 1500*time.Millisecond
		return o
	}
	a := &slotUser{Store: open(t, url, options("a")), key: "k"}
	b := &slotUser{Store: open(t, url, options("b")), key: "k"}
	check := func(what string, u *slotUser, want int) {
		t.Helper()
		if err := u.ask(t.Context(), 4); err != nil || u.slots != want {
			t.Errorf("%s: %d slots, want %d, %v", what, u.slots, want, err)
		}
	}
	a.want, b.want = 9, 9
	check("alone", a, 4)
	check("the others have all", b, 0)
	check("the other one wants some", a, 2)
	check("it has not said that it has less", b, 0)
	check("it has said so", a, 2)
	check("they are free", b, 2)
	a.want, a.slots = 0, 0
	check("idle", a, 0)
	check("the other one is idle", b, 4)
	a.want = 9
	check("the other one has all", a, 0)
	b.node.mu.Lock() // b does not look any more, so that it dies
	eventually(t, "slots of the dead node", func() bool {
		if err := a.ask(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		return a.slots == 4
	})
	if err := b.ask(t.Context(), 4); !errors.Is(err, errLateCall) {
		t.Errorf("the dead node: %v", err)
	}
	b.node.mu.Unlock()
	if n := a.Members(); n < 1 || n > 2 {
		t.Errorf("%d nodes", n)
	}
	c := &slotUser{Store: open(t, url, options("c")), key: "k", want: 1}
	check("a third one", c, 0)
	if err := a.Store.Close(); err != nil {
		t.Fatal(err)
	}
	check("the one that had all is closed", c, 1)
	c.node.clean(t.Context())
	if n := one[int](t, c.Store, `select count(*) from bridgehead.share`); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// However the calls of several nodes meet, all nodes together never use more than the
// limits.
func TestShareLimitsTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	limits := map[string]int{"one": 1, "five": 5, "twenty": 20}
	var total, most [3]atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(1500 * time.Millisecond)
	for i, name := range []string{"a", "b", "c"} {
		s := open(t, url, lasting(name))
		r := rand.New(rand.NewPCG(uint64(i), 1))
		wg.Go(func() {
			users := []*slotUser{{Store: s, key: "one"}, {Store: s, key: "five"}, {Store: s, key: "twenty"}}
			for time.Now().Before(end) {
				for k, u := range users {
					u.want = r.IntN(12)
					switch n := r.IntN(4); {
					case n < 2:
						if err := u.ask(t.Context(), limits[u.key]); err != nil {
							t.Error(err)
							return
						}
					case n == 2 && u.using > 0:
						total[k].Add(-1)
						u.using--
					}
					for u.using < min(u.slots, u.want) {
						u.using++
						if now := total[k].Add(1); now > most[k].Load() {
							most[k].Store(now)
						}
					}
				}
			}
			for k, u := range users {
				total[k].Add(-int64(u.using))
			}
		})
	}
	wg.Wait()
	for k, limit := range []int64{1, 5, 20} {
		if n := most[k].Load(); n > limit || n == 0 {
			t.Errorf("%d at the same time, the limit is %d", n, limit)
		}
	}
}

// The times of a rate are given to one node each. A node alone gets all of them.
func TestShareRate(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := open(t, url, lasting("a")), open(t, url, lasting("b"))
	ask := func(s *Store, rate float64, begins int) queue.LimitGrant {
		t.Helper()
		grants, err := s.ShareLimits(t.Context(), []queue.LimitDemand{{Key: "k", Rate: rate, Begins: begins}})
		if err != nil {
			t.Fatal(err)
		}
		return grants[0]
	}
	if g := ask(a, 10, 5); g.From != 0 || g.For != 500*time.Millisecond {
		t.Errorf("five times: %+v", g)
	}
	g := ask(b, 10, 100)
	if g.From <= 0 || g.From > 500*time.Millisecond || g.For < time.Second || g.For > 2*time.Second {
		t.Errorf("the other node, which leaves the part of the first: %+v", g)
	}
	if g := ask(b, 10, 100); g.For != 0 {
		t.Errorf("all times are given, but: %+v", g)
	}
	// The row was written before the clock of the database was set back.
	one[int](t, a, `with x as (update bridgehead.pace set next = next + interval '1 hour' returning 1) select count(*) from x`)
	if g := ask(a, 10, 100); g.From != 0 || g.For == 0 {
		t.Errorf("after the clock was set back: %+v", g)
	}
	// A low rate: the nodes take turns.
	low := func(s *Store) (For time.Duration) {
		grants, err := s.ShareLimits(t.Context(), []queue.LimitDemand{{Key: "low", Rate: 0.01, Begins: 3}})
		if err != nil {
			t.Fatal(err)
		}
		return grants[0].For
	}
	next := func() {
		one[int](t, a, `with x as (update bridgehead.pace set next = clock_timestamp() returning 1) select count(*) from x`)
	}
	for i, want := range []struct{ a, b time.Duration }{{100 * time.Second, 0}, {0, 100 * time.Second}, {100 * time.Second, 0}} {
		if gotA, gotB := low(a), low(b); gotA != want.a || gotB != want.b {
			t.Errorf("turn %d: %v and %v", i, gotA, gotB)
		}
		next()
	}
}

// A call that a network delivers late changes nothing. Nor does a call with more demands
// than allowed.
func TestLateShareLimits(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), lasting("a"))
	u := &slotUser{Store: s, key: "k", want: 5}
	if err := u.ask(t.Context(), 5); err != nil || u.slots != 5 {
		t.Fatal(u.slots, err)
	}
	call := s.shareCalls.Load()
	for _, d := range []queue.LimitDemand{{Key: "k", Slots: 5, Have: 1, Want: 1}, {Key: "k", Slots: 5}} {
		s.shareCalls.Store(call - 2)
		if _, err := s.ShareLimits(t.Context(), []queue.LimitDemand{d}); !errors.Is(err, errLateCall) {
			t.Errorf("%v: %v", d, err)
		}
	}
	s.shareCalls.Store(call)
	if n := one[int](t, s, `select held from bridgehead.share`); n != 5 {
		t.Errorf("the node has %d slots", n)
	}
	if _, err := s.ShareLimits(t.Context(), make([]queue.LimitDemand, queue.MaxLimitDemands+1)); err == nil {
		t.Error("too many demands are accepted")
	}
	huge := []queue.LimitDemand{{Key: "huge", Slots: 1 << 62, Have: 0, Want: 1 << 62, Rate: 1e300, Begins: 1 << 62}}
	if g, err := s.ShareLimits(t.Context(), huge); err != nil || g[0].Slots != maxSlots {
		t.Errorf("huge numbers: %+v, %v", g, err)
	}
}

// Nodes count together, in a sliding period.
func TestAddCounts(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pooled := lasting("b")
	pooled.Pooler = true
	a, b := open(t, url, lasting("a")), open(t, url, pooled)
	check := func(s *Store, messages, recipients, least, most, leastRcpts, mostRcpts float64) {
		t.Helper()
		got, err := s.AddCounts(t.Context(), []queue.SharedCount{
			{Key: "k", Per: 1000 * time.Hour, Messages: messages, Recipients: recipients},
			{Key: "other", Per: time.Hour, Messages: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		if g := got[0]; g.Messages < least || g.Messages > most || g.Recipients < leastRcpts || g.Recipients > mostRcpts || g.Key != "k" {
			t.Errorf("%+v", g)
		}
	}
	age := func(periods int) {
		one[int](t, a, `with x as (update bridgehead.count set period = period - $1 returning 1) select count(*) from x`, periods)
	}
	check(a, 4, 8, 4, 4, 8, 8)
	check(b, 4, 0, 8, 8, 8, 8)
	age(1)
	check(a, 0, 1, 0, 8, 1, 9)
	age(1)
	check(b, 0, 0, 0, 0, 0, 1)
	age(2)
	check(b, 0, 3, 0, 0, 3, 3)
	age(3)
	a.node.clean(t.Context())
	if n := one[int](t, a, `select count(*) from bridgehead.count`); n != 0 {
		t.Errorf("%d counts are left", n)
	}
}

// The number of counts has a limit. The highest are kept.
func TestCountsAreBounded(t *testing.T) {
	t.Parallel()
	o := lasting("a")
	o.Pooler = true
	s := open(t, pgtest.Database(t), o)
	counts := make([]queue.SharedCount, 20)
	for i := range counts {
		counts[i] = queue.SharedCount{Key: fmt.Sprint(i), Per: 1000 * time.Hour, Messages: float64(i % 10), Recipients: float64(i)}
	}
	if _, err := s.AddCounts(t.Context(), counts); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{20, 3} {
		run(t, s.db, limitCounts, most)
		if n := one[int](t, s, `select count(*) from bridgehead.count`); n != most {
			t.Errorf("%d counts, want %d", n, most)
		}
	}
	if least := one[float64](t, s, `select min(messages + recipients) from bridgehead.count`); least != 24 { // 7 + 17
		t.Errorf("a count of %v is kept", least)
	}
}
