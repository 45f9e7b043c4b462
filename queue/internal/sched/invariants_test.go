package sched

import (
	"slices"
	"time"
)

// check checks the invariants of the core after each event.
func (w *world) check() {
	w.t.Helper()
	w.checkRecipients()
	w.checkBounds()
	w.checkHops()
	w.checkShares()
	w.checkWork()
	w.checkLeases()
	w.checkClaims()
	w.checkShared()
}

// checkRecipients: no recipient is forgotten, and none is in two places.
func (w *world) checkRecipients() {
	parts := map[*Part]int{}
	for _, h := range w.s.hopList {
		n := 0
		for _, l := range h.queued {
			for p := l.first; p != nil; p = p.next {
				parts[p]++
				n++
			}
		}
		if n != h.n {
			w.t.Fatalf("hop %v counts %d parts and has %d", h.Key, h.n, n)
		}
	}
	for p := w.s.alone.parts.first; p != nil; p = p.next {
		parts[p]++
	}
	unrouted := map[*Message]int{}
	if a := &w.s.alone; a.msg != nil && !a.began {
		unrouted[a.msg]++
	}
	for _, l := range []messageList{w.s.incoming, w.s.suspects, w.s.alone.waiting} {
		for m := l.first; m != nil; m = m.next {
			unrouted[m]++
		}
	}
	for _, job := range w.workers {
		switch job.Kind {
		case Route:
			unrouted[job.Msg]++
		case Deliver:
			if job.Part.Load != nil && w.inFlight(job.Part) {
				parts[job.Part]++
			}
		}
	}
	for _, p := range w.returns {
		parts[p]++
	}
	left := map[*Message]int{}
	for p, n := range parts {
		if n != 1 {
			w.t.Fatalf("a part of %s is in %d places", p.Msg.ID, n)
		}
		if w.s.hops[p.Hop.Key] != p.Hop {
			w.t.Fatalf("hop %v is forgotten, and a part of %s is for it", p.Hop.Key, p.Msg.ID)
		}
		left[p.Msg]++
	}
	for id, m := range w.s.active {
		w.checkMessage(id, m, parts, left[m], unrouted[m])
	}
}

// inFlight says whether a part's attempt is still to end: the job of a worker
// that has ended it, or that was turned away, is not over yet.
func (w *world) inFlight(p *Part) bool {
	for _, r := range p.Load.([]*rcpt) {
		if r.part != p {
			return false
		}
	}
	for _, l := range append(p.Hop.queued[:], w.s.alone.parts) {
		for q := l.first; q != nil; q = q.next {
			if q == p {
				return false
			}
		}
	}
	return !slices.Contains(w.returns, p)
}

func (w *world) checkMessage(id string, m *Message, parts map[*Part]int, left, unrouted int) {
	ml := m.Load.(*mail)
	if unrouted > 1 || m.left != left {
		w.t.Fatalf("%s: in %d places to be routed, %d parts left of which %d are somewhere", id, unrouted, m.left, left)
	}
	waiting := 0
	for _, r := range ml.rcpts {
		switch {
		case r.ended:
		case r.waiting:
			waiting++
		case r.part != nil && parts[r.part] == 0 && (m.ordered || m.lost): // ended without an attempt
			r.waiting, r.part = true, nil
			waiting++
		case r.part != nil:
			if parts[r.part] != 1 {
				w.t.Fatalf("%s: a recipient's part is nowhere", id)
			}
		case unrouted == 0:
			w.t.Fatalf("%s: a recipient is forgotten", id)
		}
	}
	if waiting != m.waiting {
		w.t.Fatalf("%s: %d recipients wait, the core counts %d", id, waiting, m.waiting)
	}
	recorded := slices.Contains(w.records, m) || slices.Contains(w.unrecorded, m)
	if m.recording != recorded {
		w.t.Fatalf("%s: recording is %v, but %v", id, m.recording, recorded)
	}
	begun := w.recording != nil && w.recording.m == m
	if slices.ContainsFunc(ml.rcpts, func(r *rcpt) bool { return r.delivered }) && !m.lost && (!recorded || begun && !m.again) {
		w.t.Fatalf("%s: a delivered recipient is not to be recorded before the others end", id)
	}
	if left == 0 && unrouted == 0 && !recorded {
		w.t.Fatalf("%s: nothing is left of it, and it is not recorded", id)
	}
}

// checkBounds: every bound is kept.
func (w *world) checkBounds() {
	s := w.s
	delivering, routing, starting := 0, 0, 0
	for _, job := range w.workers {
		switch job.Kind {
		case None:
			starting++
		case Route:
			routing++
		case Deliver:
			delivering++
		}
	}
	switch {
	case delivering != s.delivering || routing != s.routing || starting != s.starting:
		w.t.Fatalf("%d deliver, %d route, %d start; the core counts %d %d %d",
			delivering, routing, starting, s.delivering, s.routing, s.starting)
	case delivering > s.limits.Deliveries || routing > maxRouting:
		w.t.Fatalf("%d deliver, %d route", delivering, routing)
	case len(s.active)+s.reserved > s.limits.Active || s.reserved < 0:
		w.t.Fatalf("%d messages are active and %d places reserved", len(s.active), s.reserved)
	}
	var memory int64
	for _, m := range s.active {
		memory += m.Size
	}
	if memory > s.memory || s.memory > s.limits.Memory {
		w.t.Fatalf("messages keep %d bytes, the core counts %d", memory, s.memory)
	}
}

// checkHops: what is known of each hop agrees with itself.
func (w *world) checkHops() {
	s := w.s
	inRing := map[*Hop]int{}
	for _, c := range s.connectorList {
		for i := range c.rings {
			r, n := &c.rings[i], 0
			for h := r.first; h != nil; h = h.ringNext {
				n++
				inRing[h]++
				if h.in != r || h.ring() != r {
					w.t.Fatalf("hop %v is in a ring that is not its own", h.Key)
				}
			}
			if n != r.n {
				w.t.Fatalf("a ring of %s counts %d hops and has %d", c.name, r.n, n)
			}
		}
	}
	returning := map[*Hop]int{}
	for _, p := range w.returns {
		returning[p.Hop]++
	}
	for _, h := range s.hopList {
		w.checkSuspended(h)
		switch {
		case h.returning != returning[h]:
			w.t.Fatalf("%d parts of hop %v are on their way back, the core counts %d", returning[h], h.Key, h.returning)
		case inRing[h] > 1 || (inRing[h] == 1) != (h.in != nil):
			w.t.Fatalf("hop %v is in %d rings", h.Key, inRing[h])
		case h.ready() && h.in == nil && !h.waitsForHost && !w.waitsForSpan(h) && w.asking != h && !w.claimsFor(h) && (h.timer < 0 || h.wakeAt.After(h.notBefore)):
			w.t.Fatalf("hop %v may run and is in no ring", h.Key)
		case !h.ready() && h.in != nil:
			w.t.Fatalf("hop %v may not run and is in a ring", h.Key)
		case (h.dead || h.suspended || h.closed) && !s.held[h.Key]:
			w.t.Fatalf("hop %v is dead or shut, and its mail is claimed", h.Key)
		case s.held[h.Key] != h.held():
			w.t.Fatalf("hop %v is held: %v, but %v", h.Key, s.held[h.Key], h.held())
		case h.inflight < 0 || h.n > h.limits.Active+h.limits.Concurrency+testRecipients:
			w.t.Fatalf("hop %v has %d parts, %d in flight", h.Key, h.n, h.inflight)
		case !h.nextLook().IsZero() && h.timer < 0 && w.asking != h && !w.claimsFor(h):
			w.t.Fatalf("hop %v is to be looked at at %v and has no timer", h.Key, h.nextLook())
		case h.timer >= 0 && s.timers[h.timer] != h:
			w.t.Fatalf("hop %v has another's timer", h.Key)
		case h.expected && !w.claimsFor(h) && !w.isProbed(h):
			w.t.Fatalf("hop %v expects a probe that does not come", h.Key)
		case h.answers && (h.dead || h.probing):
			w.t.Fatalf("hop %v answers, and is dead %v or probed %v", h.Key, h.dead, h.probing)
		case h.dead && (h.probing || h.expected) || h.expected && !h.probing:
			w.t.Fatalf("hop %v is dead %v, probing %v, expected %v", h.Key, h.dead, h.probing, h.expected)
		case h.timer >= 0 && !h.nextLook().IsZero() && h.wakeAt.After(h.nextLook()) && !h.expected:
			w.t.Fatalf("hop %v is looked at at %v, not at %v", h.Key, h.wakeAt, h.nextLook())
		}
	}
}

// claimsFor says whether the loop claims for a hop.
func (w *world) claimsFor(h *Hop) bool { return w.claimed != nil && w.claimed.Only == h }

// isProbed says whether a message that is to probe a hop is still to be routed.
func (w *world) isProbed(h *Hop) bool {
	if m := w.s.alone.msg; m != nil && m.Probe == h {
		return true
	}
	for _, l := range []messageList{w.s.incoming, w.s.suspects, w.s.alone.waiting} {
		for m := l.first; m != nil; m = m.next {
			if m.Probe == h {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.workers, func(d Decision) bool { return d.Kind == Route && d.Msg.Probe == h })
}

// checkWork: where there is work and a place for it, a worker starts.
func (w *world) checkWork() {
	s := w.s
	if s.idle() || s.notBefore.After(w.now) {
		return
	}
	work := s.work()
	loopIsDue := w.awake || !w.now.Before(w.sleepUntil) || w.busy()
	if work > 0 && s.starting == 0 && !loopIsDue {
		w.t.Fatalf("there is work for %d, and no worker", work)
	}
}

// checkLeases: every message's lease is renewed in time.
func (w *world) checkLeases() {
	n := 0
	var before time.Time
	for m := w.s.leases.first; m != nil; m = m.leaseNext {
		if m.Lease.Before(before) {
			w.t.Fatal("the leases are not in order")
		}
		before = m.Lease
		n++
	}
	for _, m := range w.s.active {
		if m.lost == m.leased {
			w.t.Fatalf("%s: lost %v, in the list of leases %v", m.ID, m.lost, m.leased)
		}
		if !m.lost {
			n--
		}
	}
	if n != 0 {
		w.t.Fatalf("%d leases too many", n)
	}
}

// begun checks a job at the moment when it is given out.
func (w *world) begun(d *Decision) {
	w.beginAlone(d)
	switch d.Kind {
	case Route:
		w.beginRoute(d.Msg)
	case Deliver:
		w.beginDeliver(d.Part, d.Probe)
		w.beginShared(d.Part)
	}
}

// beginAlone: while a message is tried alone, no other job begins or is in
// progress.
func (w *world) beginAlone(d *Decision) {
	m := d.Msg
	if d.Part != nil {
		m = d.Part.Msg
	}
	a := &w.s.alone
	switch {
	case d.Kind == None:
	case a.msg != nil && (m != a.msg || w.s.routing+w.s.delivering != 1):
		w.t.Fatalf("%s begins while %s is tried alone; %d jobs are in progress", m.ID, a.msg.ID, w.s.routing+w.s.delivering)
	case d.Kind == Route && m.Alone && m != a.msg:
		w.t.Fatalf("%s is not tried alone", m.ID)
	}
}

// beginRoute: suspects are tried one after the other.
func (w *world) beginRoute(m *Message) {
	ml := m.Load.(*mail)
	if !m.Suspect || m.Alone {
		return
	}
	ml.routed = w.now
	for _, other := range w.s.active {
		o := other.Load.(*mail)
		if other != m && other.Suspect && !o.routed.IsZero() && w.now.Sub(o.routed) < suspectTurn && w.s.suspect == other {
			w.t.Fatalf("%s is tried together with %s", ml.id, o.id)
		}
	}
}

// beginDeliver: a dead hop is probed and nothing more; no hop gets more than it
// may, and each gets its turn.
func (w *world) beginDeliver(p *Part, probe bool) {
	h := p.Hop
	switch {
	case h.dead || h.shut():
		w.t.Fatalf("a delivery begins for hop %v, dead %v, shut %v", h.Key, h.dead, h.shut())
	case h.inflight > h.window || h.inflight > 3:
		w.t.Fatalf("%d deliveries for hop %v, the window is %d", h.inflight, h.Key, h.window)
	case h.host != nil && h.host.inflight > max(h.hostLimit(), 1) && h.host.answers:
		w.t.Fatalf("%d deliveries for host %s", h.host.inflight, h.host.name)
	case probe != h.probing:
		w.t.Fatalf("a probe %v of hop %v that is probed %v", probe, h.Key, h.probing)
	case p.Msg.ordered:
		w.t.Fatalf("a delivery of %s begins against an order", p.Msg.ID)
	}
	if probe {
		n := 0
		for _, job := range w.workers {
			if job.Kind == Deliver && job.Probe && job.Part.Hop == h && w.inFlight(job.Part) {
				n++
			}
		}
		if n > 1 {
			w.t.Fatalf("%d probes of hop %v", n, h.Key)
		}
	}
	if w.s.alone.msg != p.Msg { // that one has its turn whatever the order
		w.checkTurn(h)
	}
}

// checkClaims: the loop claims each message as soon as it is due, and wakes for
// that.
func (w *world) checkClaims() {
	s := w.s
	for _, m := range w.stored {
		if m.leased && m.active == nil && !m.foreign && !slices.Contains(w.batch, m) && !slices.Contains(s.reclaims, m.id) {
			w.t.Fatalf("%s is leased and forgotten", m.id)
		}
	}
	if s.broken && !w.awake && w.sleepUntil.After(s.mendAt) && w.sleepUntil.After(w.now) {
		w.t.Fatalf("the store is broken until %v, and the loop sleeps until %v", s.mendAt, w.sleepUntil)
	}
	if s.idle() || s.full || w.claimed != nil {
		return
	}
	for _, m := range w.stored {
		if m.active != nil || m.leased || m.foreign || s.held[m.hop] {
			continue
		}
		latest := later(later(m.due, w.now), w.retryAt)
		if s.claimAt.IsZero() || s.claimAt.After(latest) {
			w.t.Fatalf("%s is due %v, and the next claim is at %v", m.id, m.due, s.claimAt)
		}
	}
	if !s.claimAt.IsZero() && !w.awake && w.sleepUntil.After(s.claimAt) && w.sleepUntil.After(w.now) {
		w.t.Fatalf("the next claim is at %v, and the loop sleeps until %v", s.claimAt, w.sleepUntil)
	}
}

// checkClockSet: after the clock was set, the Pacer of each closed hop is asked
// again, and mail that waits for a time of day is claimed.
func (w *world) checkClockSet() {
	for _, h := range w.s.hopList {
		if h.closed && (h.askAt.After(w.now) || h.timer < 0 || h.wakeAt.After(w.now)) {
			w.t.Fatalf("hop %v is closed, and its Pacer is not asked", h.Key)
		}
	}
	if w.s.claimAt.IsZero() || w.s.claimAt.After(w.now) || !w.awake {
		w.t.Fatalf("nothing is claimed after the clock was set")
	}
}
