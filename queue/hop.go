package queue

import "time"

// A hop is one next hop's queue in memory, and what is known of the host.
// The Queue's mutex guards all of it.
type hop struct {
	key    NextHop
	limits HopLimits

	queued   [classes]partList // waiting for their turn, by priority
	n        int               // how many those are
	picks    uint              // turns given, for the share of each priority
	inflight int               // Deliver calls in progress
	in       *ring             // where it takes turns; nil where it does not now
	ringNext *hop

	// Concurrency, as in Postfix: window is how many Deliver calls may run
	// now. Each answer adds 1/window to credit, and a whole credit widens the
	// window by one; a hop that does not answer narrows it.
	window   int
	credit   float64
	answered time.Time // when it last answered anything

	// A hop that could not be reached is dead until retryAt; then one message
	// probes it.
	dead     bool
	probing  bool
	expected bool // the probe is claimed, but not in the queue yet
	fails    int  // attempts at the hop in vain, in a row
	retryAt  time.Time
	last     Result
	lastAt   time.Time
	sweepAt  time.Time // when to look through what waits for it: see wake.go
	sweep    time.Time // what was put back before this is to be looked at; zero: no sweep

	requests  uint      // how often its mail was asked for
	suspended bool      // by an operator
	closed    bool      // by the Pacer,
	askAt     time.Time // which is asked again then; zero: when its mail is asked for
	congested bool      // more of its mail waits in the store
	pace      Pace      // what the Pacer said last
	notBefore time.Time // the rate limit's next slot

	wakeAt time.Time // when Run must look at it, and
	timer  int       // its place among the timers, -1 for none
	used   time.Time // when it was last busy
	since  time.Time // when counts began
	counts HopCounts
}

// HopCounts are totals since the hop was first used or last forgotten.
type HopCounts struct {
	Delivered, Deferred, Failed uint64 // recipients
	Attempts                    uint64 // Deliver calls
}

func newHop(key NextHop, l HopLimits) *hop {
	return &hop{key: key, limits: l, window: l.Start, timer: -1, since: time.Now(), used: time.Now()}
}

// held says that the hop's mail is to stay in the store.
func (h *hop) held() bool {
	return h.dead || h.congested || h.shut() || h.probing && (h.expected || h.n+h.inflight > 0)
}

// shut says that the hop's mail is to wait, whatever the host would say.
func (h *hop) shut() bool { return h.suspended || h.closed }

// waiting says that the hop's mail waits for long, so that it must be looked
// through for what has waited too long.
func (h *hop) waiting() bool { return h.dead || h.shut() }

// next is when something must be done about the hop; zero for never.
func (h *hop) next() (at time.Time) {
	if h.dead && !h.shut() {
		at = h.retryAt
	}
	if !h.askAt.IsZero() && (at.IsZero() || h.askAt.Before(at)) {
		at = h.askAt
	}
	if h.waiting() && !h.sweepAt.IsZero() && (at.IsZero() || h.sweepAt.Before(at)) {
		at = h.sweepAt
	}
	return at
}

// ready says that a part may be delivered now, as far as the hop goes.
func (h *hop) ready() bool {
	if h.n == 0 || h.dead || h.shut() || h.inflight >= h.window {
		return false
	}
	return h.pace.MaxConcurrency <= 0 || h.inflight < h.pace.MaxConcurrency
}

// idle says that nothing would be lost if the hop were forgotten.
func (h *hop) idle() bool {
	return h.n == 0 && h.inflight == 0 && !h.held() && h.timer < 0 && h.in == nil
}

func (c *HopCounts) add(s Status) {
	switch s {
	case Waiting:
		c.Deferred++
	case Delivered:
		c.Delivered++
	default:
		c.Failed++
	}
}

func (h *hop) push(p *part) {
	h.queued[classOf(p.msg.m.Priority)].push(p)
	h.n++
}

// pop takes the next part: the highest priority mostly, but of sixteen turns
// three go to normal mail first and one to low, so that none starves.
func (h *hop) pop() *part {
	h.picks++
	first := high
	switch h.picks % 16 {
	case 0:
		first = low
	case 4, 8, 12:
		first = normal
	}
	p := h.queued[first].pop()
	for c := 0; p == nil; c++ {
		p = h.queued[c].pop()
	}
	h.n--
	return p
}

// messages counts the messages in the queue. The parts of one are neighbours.
func (h *hop) messages() (n int) {
	for _, l := range h.queued {
		var last *active
		for p := l.first; p != nil; p = p.next {
			if p.msg != last {
				last = p.msg
				n++
			}
		}
	}
	return n
}

// take empties the queue.
func (h *hop) take() *part {
	var all partList
	for h.n > 0 {
		all.push(h.pop())
	}
	return all.first
}

// reached takes note of an answer, whatever it said.
func (h *hop) reached(now time.Time) {
	h.answered, h.fails = now, 0
	if h.probing || h.dead {
		h.probing, h.dead, h.expected = false, false, false
		h.window, h.credit = h.limits.Start, 0
		return
	}
	if h.window < h.limits.Concurrency {
		h.credit += 1 / float64(h.window)
		if h.credit >= 1 {
			h.window++
			h.credit = 0
		}
	}
}

// crowded says that an attempt begun at started found nobody to speak with
// only because the host has enough to do: others got through meanwhile, or at
// the same moment, as far as the clock can tell.
func (h *hop) crowded(started time.Time) bool {
	return !h.probing && !h.answered.Before(started)
}

// narrow makes do with the calls that are in progress.
func (h *hop) narrow() { h.window, h.credit = max(h.inflight, 1), 0 }

// unreached notes that there is nobody to speak with until retryAt.
func (h *hop) unreached(r *Result, now, retryAt time.Time) {
	h.last, h.lastAt, h.retryAt = *r, now, retryAt
	h.dead, h.probing, h.expected = true, false, false
	h.fails++
	h.window, h.credit = 1, 0
}

// The priorities that a hop tells apart.
const (
	high = iota
	normal
	low
	classes
)

func classOf(priority int) int {
	switch {
	case priority > 0:
		return high
	case priority < 0:
		return low
	}
	return normal
}

// A part is those recipients of a message that go to one hop in one Deliver
// call.
type part struct {
	msg    *active
	hop    *hop
	rcpts  []*Recipient
	turned int // how often an overcrowded hop turned it away
	// The hop's requests when the attempt began: of an attempt that fails after
	// a later one, the request is still to be met.
	requests uint
	next     *part
}

type partList struct{ first, last *part }

func (l *partList) push(p *part) {
	p.next = nil
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
}

func (l *partList) pop() *part {
	p := l.first
	if p != nil {
		l.first = p.next
		if l.first == nil {
			l.last = nil
		}
		p.next = nil
	}
	return p
}
