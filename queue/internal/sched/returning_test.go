package sched

import (
	"testing"
	"time"
)

// A stage is a core with one hop, whose events a test gives by itself.
type stage struct {
	t   *testing.T
	s   *Scheduler
	now time.Time
	key Key
}

func newStage(t *testing.T) *stage {
	st := &stage{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), key: Key{Destination: "example.net"}}
	st.s = New(Limits{Active: 100, Deliveries: 4, Lease: time.Hour})
	st.s.Run()
	return st
}

// decided returns the first decision of a kind since the last call, and forgets
// the others.
func (st *stage) decided(k Kind) *Decision {
	st.t.Helper()
	for _, d := range st.s.Decisions(nil) {
		if d.Kind == k {
			return &d
		}
	}
	st.t.Fatalf("no decision of kind %d", k)
	return nil
}

// queue makes a message active whose only part waits for the hop.
func (st *stage) queue(id string) *Message {
	st.t.Helper()
	m := &Message{ID: id, Lease: st.now.Add(time.Hour)}
	if !st.s.Place(0) || !st.s.Arrived(st.now, m) {
		st.t.Fatal("no place")
	}
	st.s.routeNext = false // it is the turn of messages to be routed
	job := st.s.Ready(&Decision{})
	if job.Kind != Route || job.Msg != m {
		st.t.Fatalf("the job is of kind %d", job.Kind)
	}
	h, mayQueue := st.s.Way(st.now, m, st.key, HopLimits{Concurrency: 4, Start: 1, Recipients: 1, Active: 20}, Pace{})
	if !mayQueue {
		st.t.Fatal("the hop is closed")
	}
	st.s.Queue(&Part{Msg: m, Hop: h, Recipients: 1})
	st.s.Routed(st.now, m)
	st.s.routing--
	return m
}

// attempt delivers the next part, or finds that the hop is down.
func (st *stage) attempt(down bool) *Message {
	st.t.Helper()
	job := st.s.Ready(&Decision{})
	if job.Kind != Deliver {
		st.t.Fatalf("the job is of kind %d", job.Kind)
	}
	p := job.Part
	c := st.s.Attempted(st.now, p, &Attempt{Begun: st.now, Down: down, Wait: time.Minute})
	if down {
		p.Msg.Wait(st.key, c.Since, c.Retry)
	}
	st.s.Ended(p.Msg)
	st.s.Ready(&job)
	return p.Msg
}

// record records a message, which leaves.
func (st *stage) record(m *Message) {
	st.s.Recording(m)
	if m.Waiting() > 0 {
		due, key := m.Due()
		st.s.Kept(key, due)
	}
	st.s.Recorded(m, true, Done)
}

// tasks does what is due, with a store that has no mail, and returns the claims.
func (st *stage) tasks() (claims []*Query) {
	st.t.Helper()
	for {
		switch d := st.s.Due(st.now); d.Kind {
		case Sleep:
			return claims
		case Claim:
			claims = append(claims, d.Claim)
			st.s.Claimed(st.now, d.Claim, 0, time.Time{}, false)
		case Clear:
		case Recheck:
			st.s.Rechecked(st.now, d.Scope, false)
		default:
			st.t.Fatalf("a task of kind %d", d.Kind)
		}
	}
}

// A part may be on its way back to the store when its hop is open again. Its
// message is then claimed again at once: no event of the hop follows that would
// open it.
func TestAPartThatReturnsLateIsClaimedAgain(t *testing.T) {
	st := newStage(t)
	a := st.queue("a")
	b := st.queue("b")
	if st.attempt(true) != a {
		t.Fatal("a is not the first")
	}
	back := st.decided(Return).Part
	st.record(a)
	st.now = st.now.Add(time.Minute)
	st.tasks() // the probe finds nothing to claim
	st.queue("c")
	c := st.attempt(false)
	st.record(c)
	again := st.s.Returned(st.now, back.Hop)
	b.Wait(st.key, st.now, again)
	st.s.PutBack(back)
	st.record(b)
	for _, q := range st.tasks() {
		if q.Only == nil && !st.s.held[st.key] {
			return
		}
	}
	t.Errorf("b is not claimed: the hop is held: %v", st.s.held[st.key])
}
