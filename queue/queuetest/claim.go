package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var (
	hopA = queue.NextHop{Connector: "c", Destination: "a.example"}
	hopB = queue.NextHop{Connector: "c", Destination: "b.example"}
	hopC = queue.NextHop{Connector: "other", Destination: "a.example"}
)

func (f *fixture) putAt(id string, priority int, due time.Duration, hop queue.NextHop) {
	f.t.Helper()
	m := message(id)
	m.Options.Priority = priority
	f.put(m, queue.Schedule{Due: at(due), Hop: hop})
}

func claimOrder(t *testing.T, f *fixture) {
	f.putAt("low", -5, -time.Hour, hopA)
	f.putAt("late", 0, 0, hopA)
	f.putAt("early", 0, -time.Minute, hopB)
	f.putAt("urgent", 9, -time.Second, hopC)
	f.putAt("beyond", 100, -time.Millisecond, hopA) // counts as 9
	f.putAt("future", 9, time.Second, hopA)
	sameIDs(t, f.claim(claim("a", 0, 2)), "urgent", "beyond")
	sameIDs(t, f.claim(claim("a", 0, 0)), "early") // 0 means 1
	sameIDs(t, f.claim(claim("a", 0, 100)), "late", "low")
	sameIDs(t, f.claim(claim("a", time.Second, 100)), "future")

	f.putAt("l1", -5, -time.Hour, hopA)
	f.putAt("n1", 0, -time.Minute, hopB)
	f.putAt("u1", 9, -time.Hour, hopC)
	f.putAt("n2", 0, 0, hopA)
	c := claim("a", time.Second, 3)
	c.LeastUrgent = true
	sameIDs(t, f.claim(c), "l1", "n1", "n2")
	sameIDs(t, f.claim(c), "u1")
}

func claimHops(t *testing.T, f *fixture) {
	for i := range 30 {
		f.putAt(fmt.Sprintf("m%02d", i), i%3-1, time.Duration(i)*time.Millisecond, []queue.NextHop{hopA, hopB, hopC, {}, {Destination: "d"}}[i%5])
	}
	c := claim("a", time.Second, 3)
	c.Only = &hopB
	sameIDs(t, f.claim(c), "m11", "m26", "m01") // 1, then 0
	c.Only = &queue.NextHop{Destination: "nowhere"}
	sameIDs(t, f.claim(c))
	c.Only = &queue.NextHop{}
	c.Max = 100
	sameIDs(t, f.claim(c), "m08", "m23", "m13", "m28", "m03", "m18")
	c.Only = nil
	c.Except = map[queue.NextHop]bool{hopA: true, hopB: true, {Destination: "d"}: true, hopC: false}
	sameIDs(t, f.claim(c), "m02", "m17", "m07", "m22", "m12", "m27")
	sameIDs(t, f.claim(c))
	c.Except = nil
	if n := len(f.claim(c)); n != 15 {
		t.Fatalf("%d messages are left, want 15", n)
	}
}

func claimByID(t *testing.T, f *fixture) {
	f.putAt("m1", 0, time.Hour, hopA)
	f.putAt("m2", 0, 0, hopA)
	c := claim("a", 0, 10)
	c.ID, c.Only = "m1", &hopB // not due, and Only is ignored
	sameIDs(t, f.claim(c), "m1")
	c.Owner = "b"
	sameIDs(t, f.claim(c)) // leased by a
	c.ID = "m3"
	sameIDs(t, f.claim(c))
	f.update("a", f.get("m1"), queue.Schedule{Due: at(time.Hour), Hop: hopA})
	c.ID = "m1"
	sameIDs(t, f.claim(c), "m1")
	f.remove("b", "m1")
}

func claimExclusive(t *testing.T, f *fixture) {
	const n = 200
	for i := range n {
		f.putAt(fmt.Sprintf("m%03d", i), 0, 0, hopA)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	owner := make(map[string]string)
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			me := fmt.Sprint("owner ", w)
			for {
				ms, err := f.st.Claim(ctx, claim(me, 0, 7))
				if err != nil {
					t.Error(err)
				}
				if len(ms) == 0 {
					return
				}
				mu.Lock()
				for _, m := range ms {
					if o, ok := owner[m.ID]; ok {
						t.Errorf("%s was claimed by %s and by %s", m.ID, o, me)
					}
					owner[m.ID] = me
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if len(owner) != n {
		t.Fatalf("%d of %d messages were claimed", len(owner), n)
	}
}

func leaseExpires(t *testing.T, f *fixture) {
	f.putAt("m1", 0, 0, hopA)
	sameIDs(t, f.claim(claim("a", 0, 1)), "m1")
	sameIDs(t, f.claim(claim("b", lease-1, 1)))
	// No other owner has claimed it: a may still update it.
	m := f.get("m1")
	f.update("a", m, queue.Schedule{Owner: "a", Until: at(lease)})
	sameIDs(t, f.claim(claim("b", lease, 1)), "m1")
	f.remove("b", "m1")
}

func leaseLost(t *testing.T, f *fixture) {
	f.putAt("m1", 0, 0, hopA)
	old := f.claim(claim("a", 0, 1))[0]
	sameIDs(t, f.claim(claim("b", lease, 1)), "m1")
	old.Recipients[0].Status = queue.Delivered
	if err := f.st.Update(ctx, "a", old, queue.Schedule{}); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Update: %v, want ErrLeaseLost", err)
	}
	if err := f.st.Remove(ctx, "a", "m1"); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Remove: %v, want ErrLeaseLost", err)
	}
	if s := f.get("m1").Recipients[0].Status; s != queue.Waiting {
		t.Fatalf("the update was recorded: status %d", s)
	}
	f.remove("b", "m1")
}

func renew(t *testing.T, f *fixture) {
	for _, id := range []string{"m1", "m2", "m3"} {
		f.putAt(id, 0, 0, hopA)
	}
	sameIDs(t, f.claim(claim("a", 0, 2)), "m1", "m2")
	sameIDs(t, f.claim(claim("b", 0, 2)), "m3")
	lost, err := f.st.Renew(ctx, "a", at(2*lease), "m1", "m2", "m3", "m4")
	if err != nil || !slices.Equal(lost, []string{"m3", "m4"}) {
		t.Fatalf("Renew: lost %v, %v", lost, err)
	}
	sameIDs(t, f.claim(claim("c", 2*lease-1, 10)), "m3")
	sameIDs(t, f.claim(claim("c", 2*lease, 10)), "m1", "m2")
	if lost, err := f.st.Renew(ctx, "a", at(3*lease), "m1"); err != nil || !slices.Equal(lost, []string{"m1"}) {
		t.Fatalf("Renew of a lost lease: lost %v, %v", lost, err)
	}
}

func next(t *testing.T, f *fixture) {
	check := func(c queue.Claim, want time.Time) {
		t.Helper()
		got, err := f.st.Next(ctx, c)
		if err != nil || !got.Equal(want) {
			t.Fatalf("Next: %v, %v; want %v", got, err, want)
		}
	}
	c := claim("a", 0, 1)
	check(c, time.Time{})
	f.putAt("m1", 5, 30*time.Second, hopA)
	f.putAt("m2", 0, 20*time.Second, hopB)
	f.putAt("m3", -5, 50*time.Second, hopC)
	check(c, at(20*time.Second))
	c.Except = map[queue.NextHop]bool{hopB: true}
	check(c, at(30*time.Second))
	c.Except[hopA] = true
	check(c, at(50*time.Second))
	c.Except[hopC] = true
	check(c, time.Time{})
	c.Except = nil
	c.Only = &hopC
	check(c, at(50*time.Second))
	c.Only = &queue.NextHop{Destination: "nowhere"}
	check(c, time.Time{})

	// A leased message is due again when the lease ends.
	sameIDs(t, f.claim(claim("a", 20*time.Second, 1)), "m2")
	c.Only = &hopB
	check(c, at(20*time.Second+lease))
	f.remove("a", "m2")
	check(c, time.Time{})
	// A message that is overdue is due at once.
	c.Only = nil
	c.Now = at(time.Hour)
	if got, err := f.st.Next(ctx, c); err != nil || got.IsZero() || got.After(c.Now) {
		t.Fatalf("Next: %v, %v; want one not after %v", got, err, c.Now)
	}
	m := message("m4")
	f.put(m, queue.Schedule{}) // due at once
	if got, err := f.st.Next(ctx, claim("a", 0, 1)); err != nil || got.IsZero() || got.After(t0) {
		t.Fatalf("Next: %v, %v; want one not after %v", got, err, t0)
	}
}

func list(t *testing.T, f *fixture) {
	var want []string
	for i := range 300 {
		id := fmt.Sprintf("%x-%d", i*7919%4096, i)
		want = append(want, id)
		hop := hopA
		if i%10 == 0 {
			hop = hopB
		}
		f.putAt(id, i%19-9, time.Duration(i)*time.Second, hop)
	}
	slices.Sort(want)
	var got []string
	for _, e := range f.list(queue.Query{}) {
		got = append(got, e.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("List has %d IDs that are not the %d in order", len(got), len(want))
	}
	after := f.list(queue.Query{After: want[150]})
	if len(after) != 149 || after[0].ID != want[151] {
		t.Fatalf("after %s come %d", want[150], len(after))
	}
	if es := f.list(queue.Query{Hop: &hopB}); len(es) != 30 {
		t.Fatalf("%d messages for a hop, want 30", len(es))
	}
	if es := f.list(queue.Query{Hop: &hopB, Also: []queue.NextHop{hopA, hopC}}); len(es) != 300 || es[299].ID != want[299] {
		t.Fatalf("%d messages for both hops, want 300", len(es))
	}
	for range f.st.List(ctx, queue.Query{}) {
		break // the caller may stop
	}
	e := f.list(queue.Query{Hop: &hopB})[0]
	full := f.get(e.ID)
	if e.Size != full.Content.Size() || !e.Received.Equal(full.Received) || e.Priority != full.Options.Priority || e.Schedule.Hop != hopB {
		t.Fatalf("entry %+v of message %+v", e, full)
	}
}

func hops(t *testing.T, f *fixture) {
	if hs, err := f.st.Hops(ctx); err != nil || len(hs) != 0 {
		t.Fatalf("an empty store has hops %v, %v", hs, err)
	}
	size := message("m1").Content.Size()
	f.putAt("m1", 0, time.Second, hopA)
	f.putAt("m2", 1, time.Minute, hopA)
	f.putAt("m3", 0, time.Hour, hopB)
	want := map[queue.NextHop]queue.HopSum{
		hopA: {Hop: hopA, Count: 2, Bytes: 2 * size, Due: at(time.Second)},
		hopB: {Hop: hopB, Count: 1, Bytes: size, Due: at(time.Hour)},
	}
	check := func() {
		t.Helper()
		hs, err := f.st.Hops(ctx)
		if err != nil || len(hs) != len(want) {
			t.Fatalf("Hops: %v, %v; want %v", hs, err, want)
		}
		for _, h := range hs {
			w := want[h.Hop]
			if h.Count != w.Count || h.Bytes != w.Bytes || !h.Due.Equal(w.Due) {
				t.Fatalf("Hops: %v, want %v", h, w)
			}
		}
	}
	check()
	m := f.claim(claim("a", time.Minute, 1))[0] // m2, more urgent
	f.update("a", m, queue.Schedule{Due: at(2 * time.Hour), Hop: hopB})
	want[hopA] = queue.HopSum{Count: 1, Bytes: size, Due: at(time.Second)}
	want[hopB] = queue.HopSum{Count: 2, Bytes: 2 * size, Due: at(time.Hour)}
	check()
	f.claim(claim("a", time.Minute, 1))
	f.remove("a", "m1")
	delete(want, hopA)
	check()
}
