package sched

import "time"

// The events are methods, in the order in which they happen to a message; those
// of an attempt are in attempt.go. An event may cause decisions (decision.go).
// After the event, the driver takes them with [Scheduler.Decisions] and carries
// them out. Ready returns a worker's next job, and Due (due.go) the loop's next
// task. now is the time of the event. An event without it has the last event's
// time.

// Run starts the deliveries. All messages that are due are claimed.
func (s *Scheduler) Run() {
	s.running = true
	s.recheck = max(s.recheck, ScopeRestart)
	s.claimNow()
}

// Stop lets no new job begin.
func (s *Scheduler) Stop() {
	s.stopping = true
	s.wake = true
}

// End ends the work of the driver. It returns the active messages that are not
// being recorded, and forgets all messages.
func (s *Scheduler) End() []*Message {
	s.running, s.stopping = false, true
	return s.takeActive()
}

// Pause pauses the deliveries, or lets them continue. An operator asked for it.
func (s *Scheduler) Pause(paused bool) {
	s.paused = paused
	s.claimNow()
	s.kick()
}

// Place reserves a place for a new message, to deliver it from memory. It
// reports whether there was one. size is the content's, in bytes.
func (s *Scheduler) Place(size int64) bool {
	if s.idle() || len(s.active)+s.reserved >= s.limits.Active || s.memory+size > s.limits.Memory {
		return false
	}
	s.reserved++
	s.memory += size
	return true
}

// Unplaced gives a reserved place back: the message was not stored.
func (s *Scheduler) Unplaced(size int64) {
	s.memory -= size
	s.unreserve(1)
}

// Stored notes that a message without a place was stored, and when it is due.
func (s *Scheduler) Stored(due time.Time) {
	if s.running && !s.full {
		s.claimAtLatest(due)
	}
}

// Arrived makes a leased message active whose place was reserved. It returns
// false when the driver has stopped or drains: the lease must then be given back.
func (s *Scheduler) Arrived(now time.Time, m *Message) bool {
	s.now = now
	s.reserved--
	return s.admit(now, m)
}

// Claimed ends the claim q, a task. n messages were claimed, and all of them
// have arrived. next is when the same claim would find more, zero if never.
// failed means that the store had an error.
func (s *Scheduler) Claimed(now time.Time, q *Query, n int, next time.Time, failed bool) {
	s.now = now
	s.unreserve(q.Max - n)
	s.claimed(q)
	switch {
	case q.Probe:
		s.probeClaimed(now, q.Only, n, failed)
	case q.Sweep:
		s.swept(now, q, n, failed)
	case q.ID == "":
		s.dueClaimed(now, q, n, next, failed)
	}
}

// Ready returns the next job of a worker that has done the job last; a new
// worker's last job is None. None ends the worker.
func (s *Scheduler) Ready(last *Decision) Decision {
	s.jobDone(last)
	job := s.nextJob()
	if job.Kind != None {
		s.kick()
	}
	return job
}

// Way notes that some recipients of a message that is being routed go to the hop
// key, which has these limits and this Pace. If mayQueue is true, they become
// parts: see Queue. Otherwise they wait: see Returned, or [Message.Wait] if the
// Hop is nil, because an operator has given an order about the message.
func (s *Scheduler) Way(now time.Time, m *Message, key Key, limits HopLimits, p Pace) (h *Hop, mayQueue bool) {
	s.now = now
	h = s.hopFor(now, key, limits)
	s.setPace(now, h, p, m.asks)
	if m.ordered || m.lost {
		return nil, false
	}
	return h, !h.dead && !h.shut() && !s.drained && s.hasRoom(m, h)
}

// Queue puts a new part of a message into its hop's queue.
func (s *Scheduler) Queue(p *Part) {
	p.Msg.left++
	s.enqueue(p)
}

// Routed ends the routing of a message: each recipient is in a part, waits, or
// has ended.
func (s *Scheduler) Routed(now time.Time, m *Message) {
	s.now = now
	s.noProbe(now, m) // if it went another way, or is not tried
	if m.left == 0 && !m.recording {
		m.recording = true
		s.decide(Decision{Kind: Record, Msg: m})
	}
}

// Returned notes that recipients wait for a hop that cannot take them now. The
// result is when to look at them again if their message waits for several hops.
func (s *Scheduler) Returned(now time.Time, h *Hop) (again time.Time) {
	again = now.Add(LookAgain)
	if s.drained {
		again = now // another node can deliver it at once
	}
	if h.dead && h.retryAt.After(now) {
		again = h.retryAt
	}
	if !h.held() {
		s.congest(h)
	}
	return again
}

// PutBack ends the return of a part, after Returned.
func (s *Scheduler) PutBack(p *Part) {
	p.Hop.returning--
	s.Ended(p.Msg)
}

// Progressed notes that recipients of a part of m were delivered, while the
// attempt for the others continues. They are recorded at once.
func (s *Scheduler) Progressed(m *Message) {
	if m.recording {
		m.again = true
		return
	}
	m.recording = true
	s.decide(Decision{Kind: Record, Msg: m})
}

// Ended ends a part of m: its recipients were delivered, have failed, or wait.
func (s *Scheduler) Ended(m *Message) {
	m.left--
	switch {
	case m.recording:
		m.again = true
	case m.left == 0 || m.urgent:
		m.recording = true
		s.decide(Decision{Kind: Record, Msg: m})
	default: // recorded with the last part
	}
}

// Recording begins the recording of m. final means that no part of m is left,
// lost that another owner has the lease.
func (s *Scheduler) Recording(m *Message) (final, lost bool) {
	m.again = false
	if final = m.left == 0; !final {
		m.urgent = false
	}
	return final, m.lost
}

// An Outcome is the result of recording a message.
type Outcome uint8

const (
	Done   Outcome = iota
	Lost           // another owner has the lease
	Failed         // the store cannot record
)

// Recorded ends the recording of m. again means that it must be repeated at
// once. After a final record, the message is no longer active.
func (s *Scheduler) Recorded(m *Message, final bool, o Outcome) (again bool) {
	switch {
	case o == Failed:
		m.urgent, m.closing = true, false
		s.breakDown()
		return false
	case o == Lost:
		s.lose(m)
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

// Kept notes that the final record of a message leaves it in the store, where it
// waits for the hop key until due.
func (s *Scheduler) Kept(key Key, due time.Time) {
	if !s.held[key] {
		s.claimAtLatest(due)
	}
}

// Renewed ends the renewal of leases: those of ms last until then, except for
// the lost ones. failed means that the store had an error.
func (s *Scheduler) Renewed(now time.Time, ms []*Message, until time.Time, lost map[string]bool, failed bool) {
	s.now = now
	if failed {
		s.renewAt = later(s.renewAt, now.Add(soon))
	}
	for _, m := range ms {
		s.renewed(m, until, lost[m.ID], failed)
	}
}

// Mended ends the attempt to use the store again. ok means that it can record.
func (s *Scheduler) Mended(now time.Time, ok bool) {
	s.now = now
	if !ok {
		s.mendLater(now)
		return
	}
	s.broken = false
	s.claimNow()
	s.kick()
}

// Paced notes a Pacer's answer for a hop.
func (s *Scheduler) Paced(now time.Time, h *Hop, p Pace) {
	s.now = now
	if p.Held && !p.Until.IsZero() && !p.Until.After(now) {
		p.Until = now.Add(soon) // do not ask again at once
	}
	s.setPace(now, h, p, h.asks)
	s.watch(now, h)
}

// Asked notes that a receiver or an operator asked for the mail of the hops.
// Attempts in progress that fail are repeated at once. The driver then makes the
// messages in the store due, and calls Retry. The result counts the messages in
// memory that wait for the hops.
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

// Retry makes the loop try a hop now that is dead or closed.
func (s *Scheduler) Retry(now time.Time, key Key) {
	s.now = now
	if h := s.hops[key]; h != nil {
		s.retryHop(now, h)
	}
	s.claimNow()
}

// Changed notes that the settings of the relay were replaced.
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

// ClockSet notes that the system's clock was set. The Pacers, which follow it,
// are asked again, and what waits for a time of day may be due. All times of the
// events are by another clock, which was not set.
func (s *Scheduler) ClockSet(now time.Time) {
	s.now = now
	for _, h := range s.hopList {
		if h.closed {
			h.askAt = now
			s.watch(now, h)
		}
	}
	if !s.suspensions.endAt.IsZero() {
		s.SuspensionsEnd(now)
	}
	s.claimNow()
}

// Rechecked ends a Recheck. failed means that the store had an error.
func (s *Scheduler) Rechecked(now time.Time, scope Scope, failed bool) {
	s.now = now
	s.rechecking = false
	if failed {
		s.recheck, s.recheckAt = max(s.recheck, scope), now.Add(soon)
	}
	s.claimNow()
}

// Messages calls f for each active message, in no order.
func (s *Scheduler) Messages(f func(*Message)) {
	for _, m := range s.active {
		f(m)
	}
}

// Order returns the active message of that ID, if there is one, and when the
// driver can carry out an operator's order about it.
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

// An OrderState is when an order can be carried out.
type OrderState uint8

const (
	NotActive OrderState = iota // now: the message is not active
	Active                      // with the last record
	Closing                     // after the last record, which is being written
)
