package sched

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// operate lets an operator, or a receiver, do something.
func (w *world) operate() {
	key := w.keys[w.choose(testHops)]
	switch w.choose(14) {
	case 0:
		w.suspend(suspension{key, false})
	case 1:
		w.event(func() { w.resume(suspension{key, false}) })
	case 9:
		w.suspend(suspension{Key{Destination: key.Destination}, true})
	case 10:
		w.event(func() { w.resume(suspension{Key{Destination: key.Destination}, true}) })
	case 11:
		w.event(func() { w.s.SuspensionsEnd(w.suspensionsEnd()) })
	case 2:
		w.held[key] = true
	case 3:
		w.held[key] = false
		w.ask(key)
	case 4:
		w.event(func() { w.s.Changed(w.now) })
	case 5:
		w.event(func() { w.s.Pause(w.choose(2) == 0) })
	case 6:
		if w.next == 0 {
			return
		}
		id := fmt.Sprintf("m%04d", w.choose(w.next))
		w.event(func() {
			if m, state := w.s.Order(id); state == Active {
				m.Ordered()
			}
		})
	case 7:
		w.ask(key)
	case 12:
		w.drainNode(w.choose(2) == 0)
	case 13:
		w.loseLeases()
	case 8:
		w.event(func() { w.s.ClockSet(w.now) })
		w.checkClockSet()
	}
}

// A suspension is one of a hop, or of all hops with the destination of key.
type suspension struct {
	key    Key
	domain bool
}

// suspend begins a suspension that ends in some minutes, or never.
func (w *world) suspend(s suspension) {
	var end time.Time
	if w.choose(2) == 0 {
		end = w.now.Add(time.Duration(w.choose(60)) * time.Minute)
	}
	w.suspended[s] = end
	w.event(func() {
		if s.domain {
			w.s.SuspendDomain(w.now, s.key.Destination)
		} else {
			w.s.SuspendHop(w.now, s.key, w.hopLimits(s.key))
		}
		w.s.SuspensionsEnd(w.suspensionsEnd())
	})
}

// suspensionsEnd returns when the next suspension ends, or zero.
func (w *world) suspensionsEnd() (next time.Time) {
	for _, end := range w.suspended {
		if !end.IsZero() && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

// endSuspensions resumes what was suspended until now.
func (w *world) endSuspensions() {
	for _, s := range w.sortedSuspensions() {
		if end := w.suspended[s]; !end.IsZero() && !end.After(w.now) {
			w.resume(s)
		}
	}
	w.s.SuspensionsEnd(w.suspensionsEnd())
}

func (w *world) resume(s suspension) {
	delete(w.suspended, s)
	if s.domain {
		w.s.ResumeDomain(w.now, s.key.Destination)
	} else {
		w.s.ResumeHop(w.now, s.key)
	}
}

func (w *world) sortedSuspensions() []suspension {
	return slices.SortedFunc(maps.Keys(w.suspended), func(a, b suspension) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

// checkSuspended checks that a hop is suspended if an operator has suspended it or
// its domain, that no attempt at it begins, and that no suspension outlasts its end.
func (w *world) checkSuspended(h *Hop) {
	_, byHop := w.suspended[suspension{h.Key, false}]
	_, byDomain := w.suspended[suspension{Key{Destination: h.Key.Destination}, true}]
	if h.suspended != (byHop || byDomain) {
		w.t.Fatalf("hop %v is suspended: %v; by itself %v, by its domain %v", h.Key, h.suspended, byHop, byDomain)
	}
	if h.suspended && (h.in != nil || h.n > 0) {
		w.t.Fatalf("hop %v is suspended, has %d parts in memory, and takes turns: %v", h.Key, h.n, h.in != nil)
	}
}

func (w *world) ask(key Key) {
	w.event(func() { w.s.Asked([]Key{key}) })
	w.event(func() {
		for _, m := range w.stored {
			if m.active == nil && m.hop == key {
				m.due = time.Time{}
			}
		}
		w.s.Retry(w.now, key)
	})
}

// drain ends all trouble, and checks that all mail then ends: nothing was
// forgotten, and the loop wakes in time without being told.
func (w *world) drain() {
	w.calm = true
	clear(w.held)
	for _, s := range w.sortedSuspensions() {
		if w.suspended[s].IsZero() { // the others end by themselves
			w.event(func() { w.resume(s) })
		}
	}
	for _, key := range w.keys {
		w.ask(key)
	}
	w.event(func() { w.s.Pause(false) })
	w.drainNode(false)
	begun := w.events
	for quiet := 0; len(w.stored) > 0; {
		before := w.events
		if before-begun > 20_000+500*w.next {
			w.t.Fatalf("%d messages are not delivered after %d events:\n%s", len(w.stored), before-begun, w.dump())
		}
		for range 4 * len(w.workers) {
			w.work()
		}
		w.record()
		w.putBack()
		w.loop()
		w.loopEnds()
		told := w.events > before
		w.share()
		if told {
			quiet = 0
			continue
		}
		if quiet++; quiet > 1000 {
			w.t.Fatalf("%d messages are never delivered:\n%s", len(w.stored), w.dump())
		}
		if w.sleepUntil.After(w.now) {
			w.now = w.sleepUntil
		} else {
			w.pass(time.Second)
		}
	}
}

// halt ends the driver in the middle of everything: no job begins any more, and
// what is not done with is given back.
func (w *world) halt() {
	w.event(func() { w.s.Stop() })
	for w.busy() {
		w.loopEnds()
	}
	for len(w.workers) > 0 {
		w.work() // no worker gets another job
	}
	for len(w.returns) > 0 {
		w.putBack()
	}
	for len(w.records) > 0 {
		w.record()
	}
	for d := w.s.Due(w.now); d.Kind != Stop; d = w.s.Due(w.now) {
		switch d.Kind {
		case Mend, Renew:
		case Claim:
			w.s.Claimed(w.now, d.Claim, 0, time.Time{}, true)
		default:
			w.t.Fatalf("after Stop, Due decided %d", d.Kind)
		}
	}
	left := map[*Message]bool{}
	n := len(w.s.active)
	for _, m := range w.s.End() {
		left[m] = true
	}
	if len(left)+len(w.unrecorded) != n {
		w.t.Fatalf("%d of %d messages were given back, %d are not recorded", len(left), n, len(w.unrecorded))
	}
	if w.s.Arrived(w.now, &Message{ID: "late"}) {
		w.t.Fatal("a message was taken after the end")
	}
}

// dump describes what is left, for a test that fails.
func (w *world) dump() string {
	text := fmt.Sprintf("now %v, the loop sleeps until %v, awake %v, %d workers, %d returns, %d records, %d unrecorded\n",
		w.now, w.sleepUntil, w.awake, len(w.workers), len(w.returns), len(w.records), len(w.unrecorded))
	for _, m := range w.stored {
		text += fmt.Sprintf("%s due %v for %v, active %+v\n", m.id, m.due, m.hop, m.active)
	}
	for _, h := range w.s.hopList {
		text += fmt.Sprintf("%+v\n", *h)
	}
	return text
}
