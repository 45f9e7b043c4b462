package sched

import "time"

// A Key names a next hop, as queue.NextHop does.
type Key struct {
	Connector   string
	Destination string
}

// A Hop has the queue of one next hop in memory, and the state of the host.
type Hop struct {
	Key  Key
	Load any // the driver's own

	limits    HopLimits
	shared    *shared           // nil: the limits are this node's own
	queued    [classes]partList // parts that wait for their turn, by priority
	n         int               // the number of those
	picks     uint              // parts taken, for the share of each priority
	inflight  int               // attempts in progress
	tokened   int               // of these, so many that hold a token
	returning int               // parts that the driver is still putting back to the store
	in        *ring             // the ring that it is in; nil for none
	ringPrev  *Hop
	ringNext  *Hop
	ringAt    time.Time // when it was put there
	row       int       // turns in a row

	connector    *connector
	host         *host // where its mail goes; nil while that is not known
	waitsForHost bool  // it is in the host's list

	// Concurrency, as in Postfix: window is the number of attempts that may run
	// now. Each answer adds 1/window to credit, and a credit of 1 widens the
	// window by one. A hop that does not answer narrows it.
	window   int
	credit   float64
	answered time.Time // when it last answered anything
	answers  bool      // it has, since it was last dead: see setAnswers
	single   bool      // one attempt must do: see nextTrial

	// A hop that could not be reached is dead until retryAt. Then one message
	// probes it.
	dead     bool
	probing  bool
	expected bool // the probe is claimed, but not in the queue yet
	fails    int  // failed attempts at the hop, in a row
	retryAt  time.Time
	downAt   time.Time // when it was found to be dead the last time
	sweepAt  time.Time // when to look through what waits for it: see sweep
	sweep    time.Time // what was put back before this is to be looked at; zero: no sweep

	requests       uint      // how often its mail was asked for
	suspended      bool      // by an operator
	closed         bool      // by its Pacer,
	paced          bool      // if it has one,
	askAt          time.Time // which is asked again then; zero: when its mail is asked for
	asks           uint      // Scheduler.asked when the loop began to ask it
	maxConcurrency int       // by its Pacer; 0 is no limit
	perNode        bool      // maxConcurrency is for this node alone
	congested      bool      // more of its mail waits in the store
	listed         [2]bool   // it is in its connector's list of those, by kindOf
	inHeld         bool      // it is in Scheduler.held
	notBefore      time.Time // the rate limit's next slot, or when its host may not be busy any more
	waited         time.Time // the notBefore that mail was last counted to wait for
	busy           int       // attempts in a row that found its host busy

	wakeAt time.Time // when the loop must look at it, and
	timer  int       // its place among the timers, -1 for none
	used   time.Time // when it was last busy
}

// A Pace has the settings of a Pacer for a hop.
type Pace struct {
	Known          bool      // there is a Pacer
	Held           bool      // the hop's mail waits,
	Until          time.Time // and the Pacer is asked again then; zero: when its mail is asked for
	MaxConcurrency int       // attempts at the same time; 0 is no limit
	PerNode        bool      // MaxConcurrency is for this node alone
}

func newHop(now time.Time, key Key, l HopLimits) *Hop {
	return &Hop{Key: key, limits: l, window: l.Start, timer: -1, used: now}
}

// A State is the state of a hop.
type State uint8

const (
	Idle       State = iota // it has nothing to do
	Working                 // attempts in progress, or parts that wait
	Suspended               // by an operator
	Closed                  // by its Pacer
	Dead                    // it could not be reached
	Connecting              // the probe is on its way
)

// Info describes a hop.
type Info struct {
	State            State
	Queued, Inflight int       // parts
	Window           int       // how many attempts may be in progress
	Most             int       // how many the window and the Pacer may ever allow
	DownAt           time.Time // when it could not be reached the last time
	Next             time.Time // when it is tried again, where that is known
}

// Info says how the hop is doing.
func (h *Hop) Info() Info {
	i := Info{Queued: h.n, Inflight: h.inflight, Window: h.usable(), Most: h.most(), DownAt: h.downAt}
	switch {
	case h.suspended:
		i.State = Suspended
	case h.closed:
		i.State, i.Next = Closed, h.askAt
	case h.dead:
		i.State, i.Next = Dead, h.retryAt
	case h.probing && (h.expected || h.inflight > 0):
		i.State = Connecting
	case h.inflight > 0 || h.n > 0:
		i.State = Working
	}
	return i
}

// Limits returns the limits of the hop.
func (h *Hop) Limits() HopLimits { return h.limits }

// Recipients is how many recipients may go into one attempt.
func (h *Hop) Recipients() int { return h.limits.Recipients }

// held reports whether the hop's mail stays in the store.
func (h *Hop) held() bool {
	return h.dead || h.congested || h.shut() || h.probing && (h.expected || h.n+h.inflight > 0)
}

// shut reports whether an operator or a Pacer has closed the hop.
func (h *Hop) shut() bool { return h.suspended || h.closed }

// waiting reports whether the hop's mail waits for long, so that it must be
// searched for expired messages.
func (h *Hop) waiting() bool { return h.dead || h.shut() }

// nextLook is when something must be done about the hop; zero for never.
func (h *Hop) nextLook() (at time.Time) {
	if h.dead && !h.shut() {
		at = h.retryAt
	}
	at = soonest(at, h.askAt)
	if h.waiting() {
		at = soonest(at, h.sweepAt)
	}
	return at
}

// ready reports whether the hop permits the delivery of a part now.
func (h *Hop) ready() bool {
	if h.n == 0 || h.dead || h.shut() || h.inflight >= h.usable() || h.single && h.inflight > 0 {
		return false
	}
	return h.maxConcurrency <= 0 || h.inflight < h.maxConcurrency
}

// idle reports whether the hop can be forgotten without loss.
func (h *Hop) idle() bool {
	return h.n == 0 && h.inflight == 0 && h.returning == 0 && !h.held() && h.timer < 0 && h.in == nil &&
		(h.shared == nil || !h.shared.listed)
}

// reached takes note of an answer, whatever it said.
func (h *Hop) reached(now time.Time) {
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

// crowded reports whether an attempt that began at started failed only because
// the host accepts no more connections: other attempts have reached the host
// since, or at the same time by the clock.
func (h *Hop) crowded(started time.Time) bool { return !h.probing && !h.answered.Before(started) }

// narrow makes do with the attempts that are in progress.
func (h *Hop) narrow() { h.window, h.credit = max(h.inflight, 1), 0 }

// unreached notes that the host cannot be reached, and is left alone until
// retryAt.
func (h *Hop) unreached(now, retryAt time.Time) {
	h.downAt, h.retryAt = now, retryAt
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

func (h *Hop) push(p *Part) {
	h.queued[classOf(p.Msg.Priority)].push(p)
	h.n++
}

// pop takes the next part: the highest priority mostly, but of sixteen turns
// three go to normal mail first and one to low, so that none starves.
func (h *Hop) pop() *Part {
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

// takeAll empties the queue.
func (h *Hop) takeAll() *Part {
	var all partList
	for h.n > 0 {
		all.push(h.pop())
	}
	return all.first
}

// messages counts the messages in the queue. The parts of one are neighbours.
func (h *Hop) messages() (n int) {
	for _, l := range h.queued {
		var last *Message
		for p := l.first; p != nil; p = p.next {
			if p.Msg != last {
				last = p.Msg
				n++
			}
		}
	}
	return n
}
