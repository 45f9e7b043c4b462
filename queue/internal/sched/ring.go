package sched

// A ring is a queue of hops that take turns. A hop is in one ring at most.
type ring struct {
	kind        int // of its hops
	first, last *Hop
	n           int
}

// push puts a hop behind all others.
func (r *ring) push(h *Hop) {
	h.in, h.ringPrev = r, r.last
	if r.last == nil {
		r.first = h
	} else {
		r.last.ringNext = h
	}
	r.last = h
	r.n++
}

// remove takes a hop out.
func (r *ring) remove(h *Hop) {
	if h.ringPrev == nil {
		r.first = h.ringNext
	} else {
		h.ringPrev.ringNext = h.ringNext
	}
	if h.ringNext == nil {
		r.last = h.ringPrev
	} else {
		h.ringNext.ringPrev = h.ringPrev
	}
	h.in, h.ringPrev, h.ringNext = nil, nil, nil
	r.n--
}
