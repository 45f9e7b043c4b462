package sched

// A ring has hops that take turns. A hop is in one ring at most.
type ring struct {
	last *Hop // its next is the first
	n    int
}

// first is the hop whose turn it is.
func (r *ring) first() *Hop { return r.last.ringNext }

// push puts a hop behind all others.
func (r *ring) push(h *Hop) {
	if r.last == nil {
		h.ringNext = h
	} else {
		h.ringNext, r.last.ringNext = r.last.ringNext, h
	}
	r.last = h
	h.in = r
	r.n++
}

// turn puts the first hop behind all others.
func (r *ring) turn() { r.last = r.first() }

// pop takes the first hop out.
func (r *ring) pop() {
	h := r.first()
	if h == r.last {
		r.last = nil
	} else {
		r.last.ringNext = h.ringNext
	}
	h.ringNext, h.in = nil, nil
	r.n--
}
