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
	sameIDs(t, byPriority+" (priorities beyond 9 count as 9)", f.claim(claim("a", 0, 2)), "urgent", "beyond")
	sameIDs(t, "Max 0 means 1", f.claim(claim("a", 0, 0)), "early")
	sameIDs(t, byPriority, f.claim(claim("a", 0, 100)), "late", "low")
	sameIDs(t, "Claim returns a message from its due time on", f.claim(claim("a", time.Second, 100)), "future")

	f.putAt("l1", -5, -time.Hour, hopA)
	f.putAt("n1", 0, -time.Minute, hopB)
	f.putAt("u1", 9, -time.Hour, hopC)
	f.putAt("n2", 0, 0, hopA)
	c := claim("a", time.Second, 3)
	c.LeastUrgent = true
	leastUrgent := "with LeastUrgent, Claim returns the messages of the lowest priority first, and those of one priority by due time"
	sameIDs(t, leastUrgent, f.claim(c), "l1", "n1", "n2")
	sameIDs(t, leastUrgent, f.claim(c), "u1")
	f.remove("a", "l1")

	f.putAt("below", -100, -time.Millisecond, hopA) // counts as -9
	f.putAt("lowest", -9, -time.Second, hopA)
	sameIDs(t, leastUrgent+" (priorities below -9 count as -9)", f.claim(c), "lowest", "below")
}

// byPriority is the order of Claim.
const byPriority = "Claim returns the messages of the highest priority first, and those of one priority by the time at which they became claimable: the later of their due time and the end of their lease"

// claimAfterLease claims messages whose lease has ended. They come in the order in
// which the leases ended, whatever their due times were.
func claimAfterLease(t *testing.T, f *fixture) {
	f.putAt("waited", 0, -time.Second, hopA)
	f.put(message("leased"), queue.Schedule{Due: at(-time.Hour), Owner: "dead", Until: at(0)})
	f.put(message("first"), queue.Schedule{Owner: "dead", Until: at(-time.Minute)})
	sameIDs(t, byPriority, f.claim(claim("a", 0, 10)), "first", "waited", "leased")
}

// claimAfterOthersLeft claims messages of hops whose first message has got another hop, or
// was leased by its ID. So it left the hop although no claim for the hop returned it.
func claimAfterOthersLeft(t *testing.T, f *fixture) {
	for i, leave := range []func(id string){
		func(id string) { // an owner records after the end of its lease
			f.update("late", f.get(id), queue.Schedule{Due: at(time.Hour), Hop: hopC})
		},
		func(id string) {
			c := claim("b", 10*time.Minute, 1)
			c.ID = id
			sameIDs(t, "Claim with an ID returns this message", f.claim(c), id)
		},
	} {
		id := func(name string) string { return fmt.Sprintf("%s%d", name, i) }
		f.put(message(id("first")), queue.Schedule{Due: at(0), Hop: hopA, Owner: "late", Until: at(time.Minute)})
		f.putAt(id("third"), 0, 3*time.Minute, hopA)
		f.putAt(id("second"), 0, 2*time.Minute, hopB)
		c := claim("a", 10*time.Minute, 1)
		c.Only = &hopC
		sameIDs(t, "with Only, Claim returns the messages that wait for that hop", f.claim(c))
		leave(id("first"))
		c.Only = nil
		sameIDs(t, byPriority, f.claim(c), id("second"))
		sameIDs(t, byPriority, f.claim(c), id("third"))
	}
}

func claimHops(t *testing.T, f *fixture) {
	for i := range 30 {
		f.putAt(fmt.Sprintf("m%02d", i), i%3-1, time.Duration(i)*time.Millisecond, []queue.NextHop{hopA, hopB, hopC, {}, {Destination: "d"}}[i%5])
	}
	only := "with Only, Claim returns the messages that wait for that hop, in the usual order"
	except := "with Except, Claim returns the messages that wait for no hop for which Except is true, in the usual order"
	c := claim("a", time.Second, 3)
	c.Only = &hopB
	sameIDs(t, only, f.claim(c), "m11", "m26", "m01") // 1, then 0
	c.Only = &queue.NextHop{Destination: "nowhere"}
	sameIDs(t, only, f.claim(c))
	c.Only = &queue.NextHop{}
	c.Max = 100
	sameIDs(t, only+" (the zero hop is a hop like the others)", f.claim(c), "m08", "m23", "m13", "m28", "m03", "m18")
	c.Only = nil
	c.Except = map[queue.NextHop]bool{hopA: true, hopB: true, {Destination: "d"}: true, hopC: false}
	sameIDs(t, except, f.claim(c), "m02", "m17", "m07", "m22", "m12", "m27")
	sameIDs(t, except, f.claim(c))
	c.Except = nil
	if n := len(f.claim(c)); n != 15 {
		t.Fatalf("without Only and Except, Claim returns the messages of all hops: claimed %d, want 15", n)
	}
}

func claimByID(t *testing.T, f *fixture) {
	f.putAt("m1", 0, time.Hour, hopA)
	f.putAt("m2", 0, 0, hopA)
	byID := "Claim with an ID returns this message, even if it is not due; Only and Except are ignored"
	c := claim("a", 0, 10)
	c.ID, c.Only, c.Except = "m1", &hopB, map[queue.NextHop]bool{hopA: true}
	sameIDs(t, byID, f.claim(c), "m1")
	sameIDs(t, "Claim with an ID returns a message that the same owner has leased", f.claim(c), "m1")
	c.Owner = "b"
	sameIDs(t, "Claim with an ID returns no message that another owner has leased", f.claim(c))
	c.ID = "m3"
	sameIDs(t, "Claim with an unknown ID returns no message and no error", f.claim(c))
	f.update("a", f.get("m1"), queue.Schedule{Due: at(time.Hour), Hop: hopA})
	c.ID = "m1"
	sameIDs(t, byID, f.claim(c), "m1")
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
					t.Errorf("Claim is safe for concurrent use: %v", err)
				}
				if len(ms) == 0 {
					return
				}
				mu.Lock()
				for _, m := range ms {
					if o, ok := owner[m.ID]; ok {
						t.Errorf("a message is leased to one owner at a time: %s was claimed by %s and by %s", m.ID, o, me)
					}
					owner[m.ID] = me
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if len(owner) != n {
		t.Fatalf("Claim returns a message as long as one is due and not leased: %d of %d were claimed", len(owner), n)
	}
}

func leaseExpires(t *testing.T, f *fixture) {
	f.putAt("m1", 0, 0, hopA)
	sameIDs(t, claimsDue, f.claim(claim("a", 0, 1)), "m1")
	sameIDs(t, exclusive, f.claim(claim("b", lease-1, 1)))
	// No other owner has claimed it: a may still update it.
	m := f.get("m1")
	f.update("a", m, queue.Schedule{Owner: "a", Until: at(lease)})
	sameIDs(t, expires, f.claim(claim("b", lease, 1)), "m1")
	f.remove("b", "m1")
}

// Rules that several tests check.
const (
	claimsDue = "Claim returns the messages that are due and not leased"
	exclusive = "Claim does not return a message that is leased, or that is not due"
	expires   = "Claim returns a due message from the time on at which its lease ends (Until)"
)

func leaseLost(t *testing.T, f *fixture) {
	f.putAt("m1", 0, 0, hopA)
	old := f.claim(claim("a", 0, 1))[0]
	sameIDs(t, expires, f.claim(claim("b", lease, 1)), "m1")
	old.Recipients[0].Status = queue.Delivered
	if err := f.st.Update(ctx, "a", old, queue.Schedule{}); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Update returns ErrLeaseLost when another owner has claimed the message: %v", err)
	}
	if err := f.st.Remove(ctx, "a", "m1"); !errors.Is(err, queue.ErrLeaseLost) {
		t.Fatalf("Remove returns ErrLeaseLost when another owner has claimed the message: %v", err)
	}
	if s := f.get("m1").Recipients[0].Status; s != queue.Waiting {
		t.Fatalf("an Update that returns ErrLeaseLost records nothing: the status is %v, want waiting", s)
	}
	f.remove("b", "m1")
}

func renew(t *testing.T, f *fixture) {
	for i, id := range []string{"m1", "m2", "m3"} {
		f.putAt(id, 0, time.Duration(i-3)*time.Second, hopA)
	}
	sameIDs(t, claimsDue, f.claim(claim("a", 0, 2)), "m1", "m2")
	sameIDs(t, claimsDue, f.claim(claim("b", 0, 2)), "m3")
	lost, err := f.st.Renew(ctx, "a", at(2*lease), "m1", "m2", "m3", "m4")
	if err != nil || !slices.Equal(lost, []string{"m3", "m4"}) {
		t.Fatalf("Renew returns the IDs that owner does not lease, unknown ones too, in the order of ids: lost %v, %v; want [m3 m4]", lost, err)
	}
	sameIDs(t, "Renew extends the leases of its owner, and no others", f.claim(claim("c", 2*lease-1, 10)), "m3")
	sameIDs(t, "Renew extends a lease to until, not longer", inIDOrder(f.claim(claim("c", 2*lease, 10))), "m1", "m2")
	if lost, err := f.st.Renew(ctx, "a", at(3*lease), "m1"); err != nil || !slices.Equal(lost, []string{"m1"}) {
		t.Fatalf("Renew does not extend a lease after another owner has claimed the message, and returns its ID: lost %v, %v; want [m1]", lost, err)
	}
}

func next(t *testing.T, f *fixture) {
	check := func(rule string, c queue.Claim, want time.Time) {
		t.Helper()
		got, err := f.st.Next(ctx, c)
		if err != nil || !got.Equal(want) {
			t.Fatalf("%s: Next returned %v, %v; want %v", rule, got, err, want)
		}
	}
	earliest := "Next returns the earliest time at which Claim would find a message"
	selected := "Next takes only the messages that Only and Except select, as Claim does"
	none := "Next returns the zero time if no message waits that Only and Except select"
	c := claim("a", 0, 1)
	check(none, c, time.Time{})
	f.putAt("m1", 5, 30*time.Second, hopA)
	f.putAt("m2", 0, 20*time.Second, hopB)
	f.putAt("m3", -5, 50*time.Second, hopC)
	check(earliest+", of any priority", c, at(20*time.Second))
	c.Except = map[queue.NextHop]bool{hopB: true}
	check(selected, c, at(30*time.Second))
	c.Except[hopA] = true
	check(selected, c, at(50*time.Second))
	c.Except[hopC] = true
	check(none, c, time.Time{})
	c.Except = nil
	c.Only = &hopC
	check(selected, c, at(50*time.Second))
	c.Only = &queue.NextHop{Destination: "nowhere"}
	check(none, c, time.Time{})

	sameIDs(t, claimsDue, f.claim(claim("a", 20*time.Second, 1)), "m2")
	c.Only = &hopB
	check(earliest+": for a leased message, the end of the lease", c, at(20*time.Second+lease))
	f.remove("a", "m2")
	check(none, c, time.Time{})
	atOnce := func(c queue.Claim) {
		t.Helper()
		if got, err := f.st.Next(ctx, c); err != nil || got.IsZero() || got.After(c.Now) {
			t.Fatalf("if a message can be claimed now, Next returns a time that is not zero and not after Now, also if the message has no due time: Next returned %v, %v; Now is %v", got, err, c.Now)
		}
	}
	c.Only = nil
	c.Now = at(time.Hour)
	atOnce(c) // overdue
	f.put(message("m4"), queue.Schedule{})
	atOnce(claim("a", 0, 1)) // no due time
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
		t.Fatalf("List returns all messages in the order of their IDs (as bytes): got %d IDs, want %d; the first that differs is number %d", len(got), len(want), firstDifference(got, want))
	}
	after := f.list(queue.Query{After: want[150]})
	if len(after) != 149 || after[0].ID != want[151] {
		t.Fatalf("List returns the messages whose ID is greater than After: %d after %s, want 149", len(after), want[150])
	}
	if es := f.list(queue.Query{Hop: &hopB}); len(es) != 30 {
		t.Fatalf("List with Hop returns the messages that wait for this hop: %d, want 30", len(es))
	}
	if es := f.list(queue.Query{Hop: &hopB, Also: []queue.NextHop{hopA, hopC}}); len(es) != 300 || es[299].ID != want[299] {
		t.Fatalf("List with Hop and Also returns the messages that wait for any of these hops, in the order of their IDs: %d, want 300", len(es))
	}
	for range f.st.List(ctx, queue.Query{}) {
		break // the caller may stop
	}
	e := f.list(queue.Query{Hop: &hopB})[0]
	full := f.get(e.ID)
	if e.Size != full.Content.Size() || !e.Received.Equal(full.Received) || e.Priority != full.Options.Priority || e.Schedule.Hop != hopB {
		t.Fatalf("an Entry has the Size, Received, Priority and Schedule.Hop of its message: entry %+v, message %+v", e, full)
	}
}

// firstDifference returns the first index at which a and b differ.
func firstDifference(a, b []string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func hops(t *testing.T, f *fixture) {
	if hs, err := f.st.Hops(ctx); err != nil || len(hs) != 0 {
		t.Fatalf("Hops of an empty store returns nothing: %v, %v", hs, err)
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
			t.Fatalf("Hops returns one sum for each hop that a message waits for: %v, %v; want %v", hs, err, want)
		}
		for _, h := range hs {
			w := want[h.Hop]
			if h.Count != w.Count || h.Bytes != w.Bytes || !h.Due.Equal(w.Due) {
				t.Fatalf("Hops counts all messages of the hop, leased or not, with the size of their content and the earliest time at which one can be claimed: %+v, want %+v", h, w)
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

// hopsOldest puts and removes messages whose IDs are not in the order of their times.
func hopsOldest(t *testing.T, f *fixture) {
	for i, age := range []int{3, 9, 1, 7, 5} {
		m := message(fmt.Sprintf("m%d", i))
		m.Received = at(-time.Duration(age) * time.Hour)
		f.put(m, queue.Schedule{Hop: hopA})
	}
	oldest := func(want int) {
		t.Helper()
		hs, err := f.st.Hops(ctx)
		if err != nil || len(hs) != 1 || !hs[0].Oldest.Equal(at(-time.Duration(want)*time.Hour)) {
			t.Fatalf("HopSum.Oldest is when the oldest message of the hop was received: %+v, %v; want %d hours before the start", hs, err, want)
		}
	}
	oldest(9)
	for _, step := range []struct {
		remove string
		want   int
	}{{"m0", 9}, {"m1", 7}, {"m2", 7}, {"m3", 5}} {
		f.claim(queue.Claim{Owner: "a", Until: at(lease), Now: t0, ID: step.remove})
		f.remove("a", step.remove)
		oldest(step.want)
	}
}
