package queue

import (
	"context"
	"sync"
	"time"
)

// state is what the scheduler has in memory. One mutex guards all of it; it is
// never held over a call to the Store, the Deliverer, a hook or a policy.
//
// A message in hand is an *active. Route splits it into parts, one for each
// next hop, and each part waits in its hop's queue. Hops with work that may
// start stand in a ring, and workers take a part from each in turn: so every
// hop gets its share, whatever waits behind the others. Workers are
// goroutines that live as long as there is work; with nothing to do there is
// none. What must happen later (claims, probes, leases) is Run's to do.
type state struct {
	mu sync.Mutex

	running  bool  // between Run's begin and end
	stopping bool  // no new attempt is begun any more
	paused   bool  // by an operator: likewise, for as long as it lasts
	frozen   bool  // by an operator: nothing is taken over
	broken   error // the store cannot record: likewise

	active   map[string]*active
	reserved int      // places taken by Submits that are in Put now
	memory   int64    // bytes of content that active messages keep
	reclaims []string // IDs to be claimed again: see active.reclaim
	claims   uint     // how often Run has claimed; its alone
	full     bool     // Run found no place to claim for

	settings   uint      // how often the settings were replaced
	recheck    recheck   // what waits is to be looked through again,
	recheckAt  time.Time // not before then,
	rechecking bool      // and is just now

	incoming   activeList // not routed yet
	routing    int        // workers that route now
	routeNext  bool       // the next job is to route rather than to deliver
	probeNext  bool       // the next part is to be a probe rather than another
	hops       map[NextHop]*hop
	ready      ring // hops with work that may begin
	probes     ring // the same, of hops that could not be reached the last time
	timers     timers
	held       map[NextHop]bool // hops whose mail stays in the store
	heldCopy   map[NextHop]bool // the same, for claims; nil when outdated
	notBefore  time.Time        // the total rate limit's next slot
	unrecorded []*active        // what the broken store could not take
	mendAt     time.Time        // when it is tried again
	mendWait   time.Duration
	suspects   []*active // wait for their turn: see suspected
	suspect    *active   // the one whose turn it is
	suspectAt  time.Time // when its turn is over at the latest

	delivering int // workers in a delivery
	probing    int // of these, at a hop that could not be reached the last time
	starting   int // of these, not yet at work

	wake        chan struct{} // tells Run to look again
	stopped     chan struct{} // closed when Run has ended
	abort       context.CancelFunc
	ctx         context.Context // of Route and Deliver calls
	claimAt     time.Time       // when Run is to claim next; zero: not planned
	claimedAt   time.Time       // when it claimed last
	sleepUntil  time.Time       // when Run will look again by itself
	renewAt     time.Time       // when it looks at the leases
	tidyAt      time.Time       // when it looks for hops to forget
	clearAt     time.Time       // when it clears what is set aside
	workersDone sync.WaitGroup
}

// maxRouting is how many workers may be routing at once. They come on top of
// Limits.Deliveries, so that slow deliveries do not keep mail for other hops
// from finding its queue, and a Route that hangs does not take all workers.
const maxRouting = 32

// job is a worker's next task: to route a message or to deliver a part.
type job struct {
	route   *active
	deliver *part
	probe   bool // of a hop that could not be reached the last time
}

// kick sees to it that a worker takes up new work. Called with mu held.
func (q *Queue) kick() {
	if q.idle() {
		return
	}
	work := min(q.ready.n+min(q.probes.n, q.mayProbe()), q.limits.Deliveries-q.delivering) +
		min(q.incoming.n, maxRouting-q.routing)
	if work > q.starting {
		q.starting++
		q.workersDone.Add(1)
		go q.worker()
	}
}

// idle says that no work may be begun. Called with mu held.
func (q *Queue) idle() bool {
	return !q.running || q.stopping || q.paused || q.broken != nil
}

// worker does jobs until there is none that may be begun.
func (q *Queue) worker() {
	defer q.workersDone.Done()
	q.mu.Lock()
	q.starting--
	for {
		j, ok := q.next()
		if !ok {
			q.mu.Unlock()
			return
		}
		q.kick()
		q.mu.Unlock()
		if j.route != nil {
			q.categorize(j.route)
		} else {
			q.attempt(j.deliver)
		}
		q.mu.Lock()
		if j.route != nil {
			q.routing--
		} else {
			q.delivering--
			if j.probe {
				q.probing--
			}
		}
	}
}

// next is the next job, by turns of both kinds. Called with mu held.
func (q *Queue) next() (j job, ok bool) {
	if q.idle() {
		return job{}, false
	}
	q.routeNext = !q.routeNext
	mayRoute := q.incoming.n > 0 && q.routing < maxRouting
	if !q.routeNext || !mayRoute {
		if j.deliver, j.probe = q.nextPart(); j.deliver != nil {
			return j, true
		}
	}
	if mayRoute {
		q.routing++
		j.route = q.incoming.pop()
		j.route.settings = q.settings
		return j, true
	}
	return job{}, false
}

// nextPart takes a part from the hop whose turn it is. Called with mu held.
func (q *Queue) nextPart() (p *part, probe bool) {
	if q.delivering >= q.limits.Deliveries {
		return nil, false
	}
	q.probeNext = !q.probeNext
	if q.probeNext {
		p, probe = q.nextProbe(), true
	}
	if p == nil {
		p, probe = q.nextOf(&q.ready), false
	}
	if p == nil {
		p, probe = q.nextProbe(), true
	}
	if p != nil {
		q.delivering++
		if probe {
			q.probing++
		}
	}
	return p, probe
}

// nextProbe is the next part for a hop that could not be reached the last
// time. Those have half of all deliveries at most, since most of them will
// wait in vain, and long. Called with mu held.
func (q *Queue) nextProbe() *part {
	if q.mayProbe() <= 0 {
		return nil
	}
	return q.nextOf(&q.probes)
}

// mayProbe is how many more probes may begin. Called with mu held.
func (q *Queue) mayProbe() int { return max(q.limits.Deliveries/2, 1) - q.probing }

// nextOf takes a part from the first hop of a ring. Called with mu held.
func (q *Queue) nextOf(r *ring) *part {
	for r.n > 0 {
		h := r.first()
		if !h.ready() || h.in != q.ringOf(h) {
			r.pop()
			q.ring(h) // into the other one, perhaps
			continue
		}
		if h.limits.Rate > 0 || q.limits.Rate > 0 {
			now := time.Now()
			if q.notBefore.After(now) {
				q.wakeAt(q.notBefore)
				return nil
			}
			if h.notBefore.After(now) {
				r.pop()
				q.timers.set(h, h.notBefore)
				q.wakeAt(h.notBefore)
				continue
			}
			h.notBefore, q.notBefore = slot(now, h.limits.Rate), slot(now, q.limits.Rate)
		}
		p := h.pop()
		h.inflight++
		if h.ready() {
			r.turn()
		} else {
			r.pop()
		}
		q.relieve(h)
		return p
	}
	return nil
}

// slot is when the next call may begin after one at now.
func slot(now time.Time, rate float64) time.Time {
	if rate <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(time.Second) / rate))
}

// enqueue puts a part into its hop's queue. Called with mu held.
func (q *Queue) enqueue(p *part) {
	p.hop.push(p)
	p.hop.expected = false
	if p.hop.probing {
		q.hold(p.hop)
	}
	q.ring(p.hop)
	q.kick()
}

// ring puts a hop that is ready into its ring. Called with mu held.
func (q *Queue) ring(h *hop) {
	if h.in == nil && h.ready() {
		q.ringOf(h).push(h)
	}
}

// ringOf is the ring that a hop belongs to. Called with mu held.
func (q *Queue) ringOf(h *hop) *ring {
	if h.probing {
		return &q.probes
	}
	return &q.ready
}

// hopFor is the state of a next hop, new where there was none. Called with mu
// held.
func (q *Queue) hopFor(key NextHop, l HopLimits) *hop {
	h := q.hops[key]
	if h == nil {
		h = newHop(key, l)
		q.hops[key] = h
	} else if h.idle() {
		h.limits = l
	}
	return h
}

// hold notes whether a hop's mail stays in the store. Called with mu held,
// after any change to what hop.held says.
func (q *Queue) hold(h *hop) {
	if h.held() == q.held[h.key] {
		return
	}
	q.heldCopy = nil
	if h.held() {
		q.held[h.key] = true
		return
	}
	delete(q.held, h.key)
	q.claimNow() // its mail may be claimed again
}

// unreserve gives up n reserved places. Called with mu held.
func (q *Queue) unreserve(n int) {
	q.reserved -= n
	q.roomAgain()
}

// roomAgain makes Run claim when a quarter of all places is free after there
// was none. Called with mu held.
func (q *Queue) roomAgain() {
	if q.full && len(q.active)+q.reserved <= q.limits.Active*3/4 {
		q.full = false
		q.claimNow()
	}
}

// relieve ends a hop's congestion when half of its places are free. Called
// with mu held.
func (q *Queue) relieve(h *hop) {
	if h.congested && h.n <= h.limits.Active/2 {
		h.congested = false
		q.hold(h)
	}
}

// claimAtLatest makes Run claim at that time, if it would not sooner. Called
// with mu held.
func (q *Queue) claimAtLatest(t time.Time) {
	if t.IsZero() {
		t = time.Unix(0, 0) // at once
	}
	if q.claimAt.IsZero() || t.Before(q.claimAt) {
		q.claimAt = t
		q.wakeAt(t)
	}
}

// claimNow makes Run claim without waiting. Called with mu held.
func (q *Queue) claimNow() {
	q.claimAt = time.Unix(0, 0)
	q.signal()
}

// wakeAt makes Run look again at that time at the latest; why must be in the
// state. Called with mu held.
func (q *Queue) wakeAt(t time.Time) {
	if t.Before(q.sleepUntil) {
		q.signal()
	}
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
