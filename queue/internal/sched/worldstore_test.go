package sched

import (
	"slices"
	"time"
)

func (w *world) putBack() {
	if len(w.returns) == 0 {
		return
	}
	p := w.returns[0]
	w.event(func() {
		w.returns = w.returns[1:]
		w.wait(p.Msg, p.Hop.Key, p.Load.([]*rcpt), w.s.Returned(w.now, p.Hop))
		w.s.PutBack(p)
	})
}

func (w *world) record() {
	if len(w.records) == 0 {
		return
	}
	if r := w.recording; r != nil {
		w.recording = nil
		w.recorded(r)
		return
	}
	m := w.records[w.choose(len(w.records))]
	ml := m.Load.(*mail)
	final, lost := false, false
	var delivered []*rcpt // what this records
	w.event(func() {
		final, lost = w.s.Recording(m)
		for _, r := range ml.rcpts {
			if r.delivered {
				r.delivered = false
				delivered = append(delivered, r)
			}
		}
	})
	if final && w.choose(2) == 0 {
		m.Closing()
	}
	outcome := Done
	if !w.calm && w.choose(12) == 0 {
		outcome = Failed
	} else if lost || !w.calm && w.choose(30) == 0 {
		outcome = Lost
	}
	w.recording = &recording{m: m, final: final, outcome: outcome, delivered: delivered}
	if outcome == Done && final && m.Waiting() > 0 {
		ml.due, ml.hop = m.Due()
		w.recording.inStore = true
		w.event(func() { w.s.Kept(ml.hop, ml.due) })
	}
}

// recorded ends the recording of a message.
func (w *world) recorded(r *recording) {
	m, final, outcome := r.m, r.final, r.outcome
	ml := m.Load.(*mail)
	w.event(func() {
		if outcome == Failed {
			w.unrecorded = append(w.unrecorded, m)
			for _, r := range r.delivered {
				r.delivered = true
			}
		}
		again := w.s.Recorded(m, final, outcome)
		if outcome == Failed || !again {
			i := slices.Index(w.records, m)
			w.records = slices.Delete(w.records, i, i+1)
		}
		if !final || outcome == Failed {
			return
		}
		ml.active = nil
		ml.suspect = w.choose(10) == 0
		if outcome == Done && !slices.ContainsFunc(ml.rcpts, func(r *rcpt) bool { return !r.ended }) {
			delete(w.stored, ml.id)
		}
		if outcome == Lost {
			ml.due, ml.hop, ml.foreign = w.now.Add(time.Minute), Key{}, true // the other owner gives it back
		}
	})
}

// loop lets the driver's loop do one thing, if it is awake.
func (w *world) loop() {
	if !w.awake && w.now.Before(w.sleepUntil) || w.busy() {
		return
	}
	w.event(func() {
		d := w.s.Due(w.now)
		w.noteTask(&d)
		w.awake = d.Kind != Sleep // otherwise it goes on
		switch d.Kind {
		case Sleep:
			w.sleepUntil = d.At
			if end := w.suspensionsEnd(); !end.IsZero() && d.At.After(end) {
				w.t.Fatalf("the loop sleeps until %v, and a suspension ends at %v", d.At, end)
			}
		case Claim:
			w.claim(d.Claim)
		case Ask:
			w.asking = d.Hop
		case Renew:
			w.renewing = &d
		case Mend:
			w.mending = true
		case Recheck:
			w.rechecking = d.Scope
		case Clear:
		case EndSuspensions:
			w.endSuspensions()
		default:
			w.t.Fatalf("Due decided %d", d.Kind)
		}
	})
}

// busy says that the loop waits for the store or for a Pacer.
func (w *world) busy() bool {
	return w.claimed != nil || w.asking != nil || w.renewing != nil || w.mending
}

// claim finds the messages that a query asks for.
func (w *world) claim(q *Query) {
	w.claimed = q
	ids := make([]string, 0, len(w.stored))
	for id := range w.stored {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		m := w.stored[id]
		fits := q.ID == id
		if q.ID == "" && w.inStore(m) && !m.due.After(q.Now) {
			fits = q.Only == nil && !w.s.held[m.hop] || q.Only != nil && m.hop == q.Only.Key
		}
		if fits && len(w.batch) < q.Max {
			w.batch = append(w.batch, m)
			m.leased = true
		}
	}
}

// loopEnds ends what the loop waits for.
func (w *world) loopEnds() {
	switch {
	case w.claimed != nil:
		w.claimEnds()
	case w.asking != nil:
		h := w.asking
		w.event(func() { w.asking = nil; w.s.Paced(w.now, h, w.pace(h.Key)) })
	case w.renewing != nil:
		d := w.renewing
		lost := map[string]bool{}
		if !w.calm && w.choose(10) == 0 && d.Msgs[0].Load.(*mail).active == d.Msgs[0] {
			lost[d.Msgs[0].ID] = true
		}
		w.event(func() { w.renewing = nil; w.s.Renewed(w.now, d.Msgs, d.At, lost, !w.calm && w.choose(10) == 0) })
	case w.mending:
		ok := w.calm || w.choose(2) == 0
		w.mending = false
		if ok {
			w.records = append(w.records, w.unrecorded...)
			w.unrecorded = nil
			for (len(w.records) > 0 || w.recording != nil) && len(w.unrecorded) == 0 {
				w.record()
			}
			ok = len(w.unrecorded) == 0
		}
		w.event(func() { w.s.Mended(w.now, ok) })
	case w.rechecking != ScopeNone:
		scope := w.rechecking
		w.event(func() { w.rechecking = ScopeNone; w.s.Rechecked(w.now, scope, !w.calm && w.choose(4) == 0) })
	}
}

func (w *world) claimEnds() {
	q, n := w.claimed, 0
	failed := !w.calm && w.choose(20) == 0
	for ; len(w.batch) > 0; w.batch = w.batch[1:] {
		m := w.batch[0]
		if failed {
			m.leased = false
			if q.ID != "" { // it waits for the end of the lease that it has
				m.due, m.foreign = w.now.Add(w.s.limits.Lease), true
			}
			continue
		}
		var probe *Hop
		if q.Probe {
			probe = q.Only
		}
		w.arrive(m, 0, probe)
		n++
	}
	next := w.nextDue()
	w.event(func() {
		w.claimed = nil
		switch {
		case q.ID != "" || q.Only != nil:
		case failed:
			w.retryAt = w.now.Add(mendMost)
		case n == 0 && !next.After(w.now):
			w.retryAt = w.now.Add(time.Second)
		}
		w.s.Claimed(w.now, q, n, next, failed)
	})
}

// inStore says whether a claim may find a message.
func (w *world) inStore(m *mail) bool {
	released := w.recording != nil && w.recording.m == m.active && w.recording.inStore
	return !m.leased && (m.active == nil || released)
}

// nextDue is when the next stored message is due.
func (w *world) nextDue() (at time.Time) {
	for _, m := range w.stored {
		if w.inStore(m) && !w.s.held[m.hop] {
			at = soonest(at, later(m.due, time.Unix(1, 0)))
		}
	}
	return at
}
