package sched

import (
	"slices"
	"strings"
	"time"
)

// Limits bound what is active at one time.
type Limits struct {
	Active     int           // messages
	Memory     int64         // bytes of content that they keep
	Deliveries int           // attempts at the same time
	Rate       float64       // attempts begun in a second; 0 is no limit
	Lease      time.Duration // of a message
}

// HopLimits bound the traffic to one next hop.
type HopLimits struct {
	Concurrency, Start int     // attempts at the same time: at most, and at first
	Recipients         int     // of one attempt
	Rate               float64 // attempts begun in a second; 0 is no limit
	Active             int     // messages in memory
}

// A Scheduler is the state of the scheduler. It is not safe for concurrent use:
// the driver has the lock. The zero value is not usable, see New.
type Scheduler struct {
	limits Limits
	now    time.Time  // of the last event that has a time
	out    []Decision // not taken yet
	wake   bool       // likewise, a Wake

	running  bool // between Run and End
	stopping bool // no new attempt is begun any more
	paused   bool // by an operator: likewise, for as long as it lasts
	broken   bool // the store cannot record: likewise
	drained  bool // the other nodes do the work: likewise, see node.go

	active   map[string]*Message
	leases   leaseList // the same, by the end of their leases
	reserved int       // places for messages that are being stored or claimed
	memory   int64     // bytes of content that active messages keep

	incoming messageList // not routed yet
	hops     map[Key]*Hop
	hopList  []*Hop // the same, the oldest first
	timers   timers

	suspensions suspensions // by operators: see suspend.go

	// Workers. Each routes or delivers.
	starting   int
	routing    int
	delivering int
	routeNext  bool      // the next job is to route rather than to deliver
	notBefore  time.Time // the total rate limit's next slot
	waited     time.Time // the notBefore that mail was last counted to wait for
	rateWaits  uint64    // see RateWaits
	totalWaits uint64    // likewise

	// Delivery slots: see turn.go.
	connectors    map[string]*connector
	connectorList []*connector // the same, the oldest first
	hosts         map[string]*host
	orders        [kinds]order // of the connectors, by kind
	ringed        [kinds]int   // hops in rings
	slots         int          // attempts in progress
	trying        int          // of these, so many at hops that have not answered
	tryNext       bool         // the next part is to be a trial rather than another
	probeNext     bool         // the next trial is to be a probe rather than another
	tokens        float64      // for trials beyond those that are free, as of
	tokensOf      time.Time
	tokened       int           // trials in progress that hold a token
	silence       time.Duration // how long a trial takes that is not answered
	trialEnd      time.Time     // when a trial ended without an answer, or began while there was no other
	turns         uint          // attempts begun

	// Limits that all nodes share: see shared.go.
	shares   bool
	unshared []Key  // hops whose limits are not shared
	sharing  []*Hop // those that need something, or have got something
	urgent   []*Hop // of these, those that need it soon

	// Memory: see room.go.
	busy     int // connectors with parts in memory
	released int // congested hops released since the last claim

	// Claims.
	held     map[Key]bool // hops whose mail stays in the store
	heldNew  uint         // counts the changes of held
	reclaims []string     // IDs to be claimed again: see Message.reclaim
	claims   uint         // how many there were
	full     bool         // there was no place to claim for

	alone     alone
	suspects  messageList // wait for their turn: see suspected
	suspect   *Message    // the one whose turn it is
	suspectAt time.Time   // when its turn is over at the latest

	asked      uint // how often mail was asked for, or settings were replaced
	settings   uint // how often settings were replaced
	recheck    Scope
	rechecking bool

	// When the loop has something to do: see Due.
	sleepUntil time.Time // it looks again by itself
	claimAt    time.Time // zero: not planned
	claimedAt  time.Time // the last claim
	mendAt     time.Time
	mendWait   time.Duration
	renewAt    time.Time
	tidyAt     time.Time
	clearAt    time.Time
	recheckAt  time.Time
}

// New makes a Scheduler. Mail for the hops aside is never claimed.
func New(l Limits, aside ...Key) *Scheduler {
	s := &Scheduler{limits: l, active: map[string]*Message{}, hops: map[Key]*Hop{}, held: map[Key]bool{},
		connectors: map[string]*connector{}, hosts: map[string]*host{}, silence: silenceFirst}
	for kind := range s.orders {
		s.orders[kind].kind = kind
	}
	for _, key := range aside {
		s.held[key] = true
	}
	return s
}

// maxRouting is how many workers may be routing at once. They come on top of
// Limits.Deliveries, so that slow deliveries do not keep mail for other hops
// from finding its queue, and a Route that hangs does not take all workers.
const maxRouting = 32

func (s *Scheduler) decide(d Decision) { s.out = append(s.out, d) }

// Decisions appends the decisions that the events since the last call caused.
func (s *Scheduler) Decisions(to []Decision) []Decision {
	if s.wake {
		s.wake = false
		to = append(to, Decision{Kind: Wake})
	}
	to = append(to, s.out...)
	clear(s.out)
	s.out = s.out[:0]
	return to
}

// idle reports whether no work may begin.
func (s *Scheduler) idle() bool {
	return !s.running || s.stopping || s.paused || s.broken || s.drained
}

// kick starts a worker if there is work. It starts one at a time: each worker
// that finds work starts the next.
func (s *Scheduler) kick() {
	if s.idle() {
		return
	}
	if s.work() > s.starting {
		s.starting++
		s.decide(Decision{Kind: StartWorker})
	}
}

// jobDone notes that a worker has done its last job.
func (s *Scheduler) jobDone(last *Decision) {
	switch last.Kind {
	case None:
		s.starting--
	case Route:
		s.routing--
	case Deliver:
		s.delivering--
	}
}

// work is how many jobs may begin now.
func (s *Scheduler) work() int {
	if s.alone.msg != nil {
		return s.aloneWork()
	}
	return min(s.ringed[answering]+s.mayTry(s.now), s.limits.Deliveries-s.delivering) +
		min(s.incoming.n, maxRouting-s.routing)
}

// nextJob returns a worker's next job. Routing and delivery alternate.
func (s *Scheduler) nextJob() Decision {
	if s.idle() {
		return Decision{}
	}
	if s.alone.msg != nil {
		return s.nextAlone()
	}
	s.routeNext = !s.routeNext
	mayRoute := s.incoming.n > 0 && s.routing < maxRouting
	if !s.routeNext || !mayRoute {
		if p := s.nextPart(s.now); p != nil {
			return Decision{Kind: Deliver, Part: p, Probe: p.Hop.probing, Hurry: s.hurry()}
		}
	}
	if mayRoute {
		return s.route(s.incoming.pop())
	}
	return Decision{}
}

func (s *Scheduler) route(m *Message) Decision {
	s.routing++
	m.settings, m.asks = s.settings, s.asked
	return Decision{Kind: Route, Msg: m}
}

// hopFor returns the state of a hop. It makes a new one if there is none.
func (s *Scheduler) hopFor(now time.Time, key Key, l HopLimits) *Hop {
	h := s.hops[key]
	if h == nil {
		h = newHop(now, key, l)
		if s.shares && !slices.Contains(s.unshared, key) {
			h.shared = new(shared)
		}
		h.connector = s.connectorOf(key)
		h.connector.hops++
		s.hops[key] = h
		s.hopList = append(s.hopList, h)
		if h.suspended = s.suspensions.covers(key); h.suspended {
			s.watch(now, h)
		}
	} else if h.idle() {
		h.limits = l
	}
	return h
}

// Hop returns the state of a hop, or nil.
func (s *Scheduler) Hop(key Key) *Hop { return s.hops[key] }

// Hops calls f for each hop.
func (s *Scheduler) Hops(f func(*Hop)) {
	for _, h := range s.hopList {
		f(h)
	}
}

// Message returns an active message, or nil.
func (s *Scheduler) Message(id string) *Message { return s.active[id] }

// Held calls f for each hop whose mail stays in the store.
func (s *Scheduler) Held(f func(Key)) {
	for key := range s.held {
		f(key)
	}
}

// HeldVersion changes with each change of the hops that Held returns.
func (s *Scheduler) HeldVersion() uint { return s.heldNew }

// Outdated reports whether the settings were replaced after m was routed.
func (s *Scheduler) Outdated(m *Message) bool { return m.settings != s.settings }

// takeActive returns the active messages that are not being recorded, by ID, and
// forgets all messages.
func (s *Scheduler) takeActive() []*Message {
	var left []*Message
	for _, m := range s.active {
		if !m.recording {
			left = append(left, m)
		}
	}
	slices.SortFunc(left, func(a, b *Message) int { return strings.Compare(a.ID, b.ID) })
	s.active, s.leases, s.incoming, s.suspects, s.alone = map[string]*Message{}, leaseList{}, messageList{}, messageList{}, alone{}
	return left
}

// forget removes a message from memory.
func (s *Scheduler) forget(m *Message) {
	delete(s.active, m.ID)
	s.leases.remove(m)
	s.memory -= m.Size
	if m.reclaim {
		s.reclaims = append(s.reclaims, m.ID)
		s.wake = true
	}
	s.nextSuspect(s.now, m)
	s.endAlone(s.now, m)
	s.tryAlone(s.now)
	s.roomAgain()
}

// breakDown notes that the store cannot record. Nothing is delivered until it
// can: a recipient that is delivered but not recorded would be delivered twice.
func (s *Scheduler) breakDown() {
	if s.broken {
		return
	}
	s.broken = true
	s.mendWait = mendFirst
	s.mendAt = s.now.Add(mendFirst)
	s.wakeAt(s.mendAt)
}

// mendLater plans the next attempt to use the store again.
func (s *Scheduler) mendLater(now time.Time) {
	s.mendWait = min(2*s.mendWait, mendMost)
	s.mendAt = now.Add(s.mendWait)
}

// Stopping reports whether the driver must end.
func (s *Scheduler) Stopping() bool { return s.stopping }

// Broken reports whether the store cannot record.
func (s *Scheduler) Broken() bool { return s.broken }

// Running reports whether the driver runs and was not told to end.
func (s *Scheduler) Running() bool { return s.running && !s.stopping }

// Paused reports whether an operator has paused the deliveries.
func (s *Scheduler) Paused() bool { return s.paused }

// wakeAt makes the loop call Due at time t or earlier. The state must have the
// reason.
func (s *Scheduler) wakeAt(t time.Time) {
	if t.Before(s.sleepUntil) {
		s.wake = true
	}
}
