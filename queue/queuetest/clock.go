package queuetest

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// clocks sets the wall clock. A wait goes on as before, and a due time without a
// wait follows the wall clock.
func clocks(t *testing.T, f *fixture) {
	const hour = time.Hour
	f.put(message("due"), queue.Schedule{Due: at(5 * hour), Hop: hopA})
	f.put(message("retry"), queue.Schedule{Due: at(6 * hour), Wait: 6 * hour, Hop: hopA})
	f.put(message("leased"), queue.Schedule{Owner: "a", Until: at(7 * hour)})
	claim := func(now, ahead time.Duration) queue.Claim {
		c := claim("b", now, 10)
		c.Until, c.Wall = c.Now.Add(100*hour), at(now+ahead)
		return c
	}
	next := func(now, ahead, want time.Duration) {
		t.Helper()
		if n, err := f.st.Next(ctx, claim(now, ahead)); err != nil || !n.Equal(at(want)) {
			t.Fatalf("Next returns a time of the clock of Now; a Due without Wait is a time of the clock of Wall: with Wall %v ahead of Now, Next returned %v, %v; want %v", ahead, n, err, at(want))
		}
	}
	next(0, 0, 5*hour)
	next(0, 2*hour, 3*hour)
	next(0, -2*hour, 6*hour) // of the retry
	next(0, 365*24*hour, 5*hour-365*24*hour)
	wall := "a message with Due and without Wait is due when Claim.Wall reaches Due"
	sameIDs(t, wall, f.claim(claim(0, 4*hour)))
	sameIDs(t, wall, f.claim(claim(5*hour, -hour)))
	sameIDs(t, "a message with Wait is due when Claim.Now reaches Due, whatever Wall is", f.claim(claim(6*hour, -2*hour)), "retry")
	sameIDs(t, wall, f.claim(claim(6*hour, -hour)), "due")
	until := "a lease ends when Claim.Now reaches Until, whatever Wall is"
	sameIDs(t, until, f.claim(claim(6*hour, 365*24*hour)))
	sameIDs(t, until, f.claim(claim(7*hour, 0)), "leased")
	f.update("b", f.get("retry"), queue.Schedule{Due: at(9 * hour), Wait: 2 * hour, Hop: hopB})
	for _, e := range f.list(queue.Query{Hop: &hopB}) {
		if s := e.Schedule; !s.Due.Equal(at(9*hour)) || s.Wait != 2*hour {
			t.Fatalf("List returns Due and Wait as they were recorded: %+v, want Due %v and Wait %v", s, at(9*hour), 2*hour)
		}
	}
}

// reopenClock opens the store again with the clock set back. What seems to have
// begun to wait in the future is due, except for a time of the wall clock.
func reopenClock(t *testing.T, f *fixture) {
	const hour = time.Hour
	f.put(message("due"), queue.Schedule{Due: at(2 * hour), Hop: hopA})
	f.put(message("began"), queue.Schedule{Due: at(2 * hour), Wait: hour, Hop: hopA})
	f.put(message("long"), queue.Schedule{Due: at(2*hour + time.Second), Wait: 3 * hour, Hop: hopA})
	m := message("history")
	m.Recipients[0].NextAttempt, m.Recipients[0].RetryWait = at(2*hour), hour
	f.put(m, queue.Schedule{Due: at(3 * hour), Wait: 4 * hour, Hop: hopB})
	f.reopen()
	setBack := "when a store is opened again, a message whose wait would begin (Due minus Wait) more than a minute after Now is due; a Due without Wait does not change"
	sameIDs(t, setBack, f.claim(claim("a", 0, 10)), "began")
	sameIDs(t, setBack, f.claim(claim("a", 2*hour-1, 10)), "began") // its lease is over
	sameIDs(t, setBack, f.claim(claim("b", 2*hour+time.Second, 10)), "due", "long")
	if r := f.get("history").Recipients[0]; !r.NextAttempt.Equal(at(2*hour)) || r.RetryWait != hour {
		t.Fatalf("the store does not change the fields of a recipient: NextAttempt is %v and RetryWait %v, want %v and %v", r.NextAttempt, r.RetryWait, at(2*hour), hour)
	}
}
