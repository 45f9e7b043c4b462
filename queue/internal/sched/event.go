package sched

import (
	"slices"
	"strings"
	"time"
)

// The events are the methods in this file, in the order of a message's way.
// Each may cause decisions, which the driver takes with [Scheduler.Decisions]
// after the event and carries out. Ready returns a worker's next job, and Due
// (due.go) the loop's next task.
// now is the time of the event. Events without it happen at the time of the
// event before.

// A Decision is what the driver is to do after an event.
type Decision struct {
	Kind  Kind
	Probe bool // of a Deliver: the hop could not be reached the last time
	Msg   *Message
	Part  *Part
}

// A Kind says what a decision is about.
type Kind uint8

const (
	None Kind = iota

	// Decisions that any event may cause.
	StartWorker // start a worker: it calls Ready
	Wake        // wake the loop: it calls Due
	Return      // Part and those after it: put them back to the store, see Returned and PutBack
	Record      // Msg: record it, see Recording and Recorded

	// A worker's next job, by Ready.
	Route   // Msg: find the next hops of its recipients, see Way and Routed
	Deliver // Part: deliver it, see Attempted or TurnedBack
)

// A Task is what the driver's loop is to do, by Due.
type Task struct {
	Kind  TaskKind
	Scope Scope // of a Recheck
	Hop   *Hop
	Claim *Query
	Msgs  []*Message
	At    time.Time
}

// A TaskKind says what a task is about.
type TaskKind uint8

const (
	NoTask  TaskKind = iota
	Claim            // claim messages, see Arrived and Claimed
	Ask              // Hop: ask how it wants to be served, see Paced
	Renew            // Msgs: renew their leases until At, see Renewed
	Mend             // try whether the store can record again, see Mended
	Clear            // clear what was set aside and is too old
	Recheck          // look through the waiting mail, as far as Scope says, see Rechecked
	Sleep            // wait until At, or until woken
	Stop             // end
)

// A Query says which messages are to be claimed.
type Query struct {
	Max         int       // at most so many; their places are reserved
	Now         time.Time // that are due by then
	Until       time.Time // end of the leases
	ID          string    // this message alone
	Only        *Hop      // those that wait for this hop; without both, those whose hop is not Held
	Probe       bool      // it is to probe the hop
	Sweep       bool      // they may have expired
	LeastUrgent bool      // the least urgent ones first
}

// A Scope says which of the waiting mail is looked through again.
type Scope uint8

const (
	ScopeNone    Scope = iota
	ScopeRestart       // what waits because of our own settings
	ScopeAll           // and what any host refused by a rule
)

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

// Run: the driver begins to deliver. All messages that are due are claimed.
func (s *Scheduler) Run() {
	s.running = true
	s.recheck = max(s.recheck, ScopeRestart)
	s.claimNow()
}

// Stop: no new attempt is begun any more.
func (s *Scheduler) Stop() {
	s.stopping = true
	s.wake = true
}

// End: the driver has stopped. End returns the messages that are still active
// and not being recorded, and forgets all.
func (s *Scheduler) End() []*Message {
	s.running, s.stopping = false, true
	var left []*Message
	for _, m := range s.active {
		if !m.recording {
			left = append(left, m)
		}
	}
	slices.SortFunc(left, func(a, b *Message) int { return strings.Compare(a.ID, b.ID) })
	s.active, s.leases, s.incoming, s.suspects = map[string]*Message{}, leaseList{}, messageList{}, messageList{}
	return left
}

// Pause: an operator pauses the deliveries, or lets them continue.
func (s *Scheduler) Pause(paused bool) {
	s.paused = paused
	s.claimNow()
	s.kick()
}

// Place: a new message of that size wants to be delivered from memory. If there
// is a place for it, Place reserves it.
func (s *Scheduler) Place(size int64) bool {
	if s.idle() || s.full || len(s.active)+s.reserved >= s.limits.Active || s.memory+size > s.limits.Memory {
		return false
	}
	s.reserved++
	s.memory += size
	return true
}

// Unplaced: a message that had a place was not stored.
func (s *Scheduler) Unplaced(size int64) {
	s.memory -= size
	s.unreserve(1)
}

// Stored: a message was stored that is due then, and nothing else was done with
// it.
func (s *Scheduler) Stored(due time.Time) {
	if s.running && !s.full {
		s.claimAtLatest(due)
	}
}

// Arrived: a message is leased whose place was reserved. It is active from now
// on, unless Arrived returns false because the driver has stopped: its lease is
// then to be given back.
func (s *Scheduler) Arrived(now time.Time, m *Message) bool {
	s.now = now
	s.reserved--
	if before := s.active[m.ID]; before != nil {
		// Its record was released a moment ago, and is not forgotten yet; or
		// the lease ran out while it was still active.
		before.reclaim = true
		s.memory -= m.Size
		s.noProbe(now, m)
		return true
	}
	if !s.running {
		s.memory -= m.Size
		return false
	}
	s.active[m.ID] = m
	s.leases.add(m)
	if !s.suspected(now, m) {
		s.incoming.push(m)
		s.kick()
	}
	return true
}

// Claimed: the claim that Due asked for brought n messages, all of which have
// arrived. next is when the same claim would find more, zero if never. failed
// says that the store had an error.
func (s *Scheduler) Claimed(now time.Time, q *Query, n int, next time.Time, failed bool) {
	s.now = now
	s.unreserve(q.Max - n)
	switch {
	case q.Probe:
		s.probeClaimed(now, q.Only, n, failed)
	case q.Sweep:
		s.swept(now, q, n, failed)
	case q.ID != "":
	case failed:
		s.claimAtLatest(now.Add(mendMost))
	case n == q.Max:
		s.claimAtLatest(now) // there may be more
	case !next.IsZero():
		if n == 0 && !next.After(now) {
			next = now.Add(time.Second) // another node was quicker, or the store errs
		}
		s.claimAtLatest(next)
	}
}

// Ready: a worker is ready for a job, having done last (None for a new worker).
// The result is its next job; None ends the worker.
func (s *Scheduler) Ready(last *Decision) Decision {
	switch last.Kind {
	case None:
		s.starting--
	case Route:
		s.routing--
	case Deliver:
		s.delivering--
		if last.Probe {
			s.probing--
		}
	}
	job := s.nextJob()
	if job.Kind != None {
		s.kick()
	}
	return job
}

// Way: some recipients of a message that is being routed go to the hop key,
// which has these limits and this Pace. The Hop is nil where an operator wants
// something else done with the message: its recipients then wait (see
// [Message.Wait]). mayQueue says that they are to become parts (see Queue);
// otherwise they wait, see Returned.
func (s *Scheduler) Way(now time.Time, m *Message, key Key, limits HopLimits, p Pace) (h *Hop, mayQueue bool) {
	s.now = now
	h = s.hopFor(now, key, limits)
	s.setPace(now, h, p, m.asks)
	if m.ordered {
		return nil, false
	}
	return h, !h.dead && !h.shut() && h.n < h.limits.Active
}

// Queue: a part of a message was made, and waits for its hop.
func (s *Scheduler) Queue(p *Part) {
	p.Msg.left++
	s.enqueue(p)
}

// Routed: all recipients of a message are parts now, or wait, or have ended.
func (s *Scheduler) Routed(now time.Time, m *Message) {
	s.now = now
	s.noProbe(now, m) // if it went another way, or is not tried
	if m.left == 0 && !m.recording {
		m.recording = true
		s.decide(Decision{Kind: Record, Msg: m})
	}
}

// Returned: recipients wait for a hop that cannot take them now. The result is
// when to look at them again, should they wait for several hops.
func (s *Scheduler) Returned(now time.Time, h *Hop) (again time.Time) {
	again = now.Add(LookAgain)
	if h.dead && h.retryAt.After(now) {
		again = h.retryAt
	}
	if h.halfFull() {
		h.congested = true
		s.hold(h)
	}
	return again
}

// PutBack: a part that was to return waits in the store. It follows Returned.
func (s *Scheduler) PutBack(p *Part) {
	p.Hop.returning--
	s.Ended(p.Msg)
}

// Ended: a part of m has ended: delivered, failed, or its recipients wait.
func (s *Scheduler) Ended(m *Message) {
	m.left--
	switch {
	case m.recording:
		m.again = true
	case m.left == 0 || m.urgent:
		m.recording = true
		s.decide(Decision{Kind: Record, Msg: m})
	default: // the last part takes it along
	}
}

// Recording: the recording of m begins. final says that no part of m is left.
func (s *Scheduler) Recording(m *Message) (final, lost bool) {
	m.again = false
	if final = m.left == 0; !final {
		m.urgent = false
	}
	return final, m.lost
}

// An Outcome is how the recording of a message ended.
type Outcome uint8

const (
	Done   Outcome = iota
	Lost           // another owner has the lease
	Failed         // the store cannot record
)

// Recorded: the recording of m ended. again says that it is to be repeated at
// once. After a final record the message is not active any more.
func (s *Scheduler) Recorded(m *Message, final bool, o Outcome) (again bool) {
	switch {
	case o == Failed:
		m.urgent, m.closing = true, false
		s.breakDown()
		return false
	case o == Lost:
		m.lost = true
		s.leases.remove(m)
	}
	if final {
		s.forget(m)
		return false
	}
	if !m.again {
		m.recording = false
	}
	return m.again
}

// Kept: the last record of m leaves it in the store, due then and waiting for
// the hop key.
func (s *Scheduler) Kept(key Key, due time.Time) {
	if !s.held[key] {
		s.claimAtLatest(due)
	}
}

// Renewed: the leases of the messages last until then, but for those that are
// lost. failed says that the store had an error.
func (s *Scheduler) Renewed(now time.Time, ms []*Message, until time.Time, lost map[string]bool, failed bool) {
	s.now = now
	if failed {
		s.renewAt = later(s.renewAt, now.Add(soon))
	}
	for _, m := range ms {
		if s.active[m.ID] != m {
			continue
		}
		switch {
		case lost[m.ID]:
			m.lost = true
			s.leases.remove(m)
		case !failed && !m.lost:
			s.leases.remove(m)
			m.Lease = until
			s.leases.add(m)
		}
	}
}

// Mended: the driver tried whether the store can record again.
func (s *Scheduler) Mended(now time.Time, ok bool) {
	s.now = now
	if !ok {
		s.mendWait = min(2*s.mendWait, mendMost)
		s.mendAt = now.Add(s.mendWait)
		return
	}
	s.broken = false
	s.claimNow()
	s.kick()
}

// Paced: a Pacer says how a hop wants to be served.
func (s *Scheduler) Paced(now time.Time, h *Hop, p Pace) {
	s.now = now
	if p.Held && !p.Until.IsZero() && !p.Until.After(now) {
		p.Until = now.Add(soon) // an answer that has passed already is not asked for again at once
	}
	s.setPace(now, h, p, h.asks)
	s.watch(now, h)
}

// Suspend: an operator suspends the hop key.
func (s *Scheduler) Suspend(now time.Time, key Key, limits HopLimits) {
	s.now = now
	h := s.hopFor(now, key, limits)
	h.suspended = true
	s.putBack(h.takeAll())
	s.watch(now, h)
}

// Resume: an operator resumes the hop key.
func (s *Scheduler) Resume(now time.Time, key Key) {
	s.now = now
	if h := s.hops[key]; h != nil {
		h.suspended = false
		s.watch(now, h)
	}
}

// Asked: the mail for the hops is asked for, by its receiver or an operator.
// Attempts in progress that fail are repeated at once; call Retry when the
// messages in the store are due. The result counts the messages in memory that
// wait for the hops.
func (s *Scheduler) Asked(keys []Key) (messages int) {
	s.asked++
	for _, key := range keys {
		if h := s.hops[key]; h != nil {
			h.requests++
			messages += h.messages()
		}
	}
	return messages
}

// Retry: a hop is tried now, if it is dead or closed.
func (s *Scheduler) Retry(now time.Time, key Key) {
	s.now = now
	if h := s.hops[key]; h != nil {
		s.retryHop(now, h)
	}
	s.claimNow()
}

// Changed: the settings of the relay were replaced.
func (s *Scheduler) Changed(now time.Time) {
	s.now = now
	s.asked++
	s.settings++
	s.recheck, s.recheckAt = ScopeAll, time.Time{}
	for _, h := range s.hopList {
		h.requests++
		s.retryHop(now, h)
	}
	s.wake = true
}

// Rechecked: the waiting mail was looked through.
func (s *Scheduler) Rechecked(now time.Time, scope Scope, failed bool) {
	s.now = now
	s.rechecking = false
	if failed {
		s.recheck, s.recheckAt = max(s.recheck, scope), now.Add(soon)
	}
	s.claimNow()
}

// Order: an operator wants something else done with a message. The result says
// when the driver can do it.
func (s *Scheduler) Order(id string) (*Message, OrderState) {
	m := s.active[id]
	switch {
	case m == nil:
		return nil, NotActive
	case m.closing:
		return m, Closing
	}
	return m, Active
}

// An OrderState says when an order can be carried out.
type OrderState uint8

const (
	NotActive OrderState = iota // now: the message is not active
	Active                      // with the last record
	Closing                     // after the last record, which is being written
)
