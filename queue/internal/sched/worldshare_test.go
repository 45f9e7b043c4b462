package sched

import (
	"slices"
	"time"
)

// share has the world of other nodes grant parts of the limits, or fail to.
func (w *world) share() {
	if !w.shares {
		return
	}
	if w.demands == nil {
		all := !w.shareSoon || w.choose(2) == 0
		w.shareSoon = false
		w.event(func() {
			if all && w.choose(4) == 0 {
				w.s.Trim(w.now)
			}
			w.demands = w.s.Demands(w.now, all, 5)
		})
		return
	}
	demands := w.demands
	w.demands = nil
	if !w.calm && w.choose(3) == 0 { // no answer
		if w.choose(2) == 0 {
			w.event(func() { w.s.NotShared(w.now, 0, 3, func(limit, nodes int) int { return max(limit/nodes, 1) }) })
		}
		return
	}
	grants := make([]Grant, len(demands))
	for i, d := range demands {
		grants[i].Slots = min(w.choose(d.Slots+1), d.Want)
		if w.calm {
			grants[i].Slots = d.Want
		}
		if d.Begins > 0 && (w.calm || w.choose(2) == 0) {
			grants[i].From = time.Duration(w.choose(3)) * time.Second
			grants[i].For = time.Duration(float64(1+w.choose(d.Begins)) / d.Rate * float64(time.Second))
		}
	}
	w.event(func() { w.s.Shared(w.now, demands, grants) })
}

// checkShared: no hop uses more than it has said, and each that needs something is
// asked for.
func (w *world) checkShared() {
	for _, d := range w.demands {
		if h := d.Hop; max(h.inflight, h.shared.slots) > d.Have && !((w.beganAlone[h] || w.s.alone.msg != nil) && h.shared.slots <= d.Have) {
			w.t.Fatalf("hop %v has %d attempts and %d slots, and has said that it has %d", h.Key, h.inflight, h.shared.slots, d.Have)
		}
	}
	for _, h := range w.s.hopList {
		if h.inflight == 0 {
			delete(w.beganAlone, h)
		}
		if h.shared != nil && (h.n > 0 || h.shared.slots > 0) && !(h.shared.listed && slices.Contains(w.s.sharing, h)) {
			w.t.Fatalf("hop %v has %d parts and %d slots, and is not among those that are asked for", h.Key, h.n, h.shared.slots)
		}
	}
}

// beginShared: an attempt has a slot and is in a span. p is counted already.
func (w *world) beginShared(p *Part) {
	h := p.Hop
	if h.shared == nil {
		return
	}
	if w.s.alone.msg == p.Msg { // that needs no slot
		w.beganAlone[h] = true
		return
	}
	inSpan := h.limits.Rate <= 0 || slices.ContainsFunc(h.shared.spans, func(x span) bool {
		return !w.s.now.Before(x.from) && w.s.now.Before(x.until)
	})
	if h.inflight > h.shared.slots || !inSpan {
		w.t.Fatalf("hop %v begins attempt %d with %d slots, spans %v, now %v", h.Key, h.inflight, h.shared.slots, h.shared.spans, w.s.now)
	}
}

// waitsForSpan reports whether the hop's rate has no span, so that it is asked for.
func (w *world) waitsForSpan(h *Hop) bool {
	return h.shared != nil && h.limits.Rate > 0 &&
		!slices.ContainsFunc(h.shared.spans, func(x span) bool { return w.s.now.Before(x.until) })
}
