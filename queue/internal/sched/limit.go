package sched

import "time"

// A Limit is why the mail of a hop waits.
type Limit uint8

const (
	NoLimit         Limit = iota
	NotRunning            // the driver does not run, or stops
	StoreBroken           // the store cannot record
	IsPaused              // by an operator
	IsDrained             // the node: the others deliver
	IsSuspended           // the hop: by an operator
	IsClosed              // the hop: by its Pacer
	RetryWait             // the hop could not be reached: its probe waits
	Probing               // the probe is on its way
	Alone                 // one message is tried alone: see alone.go
	Concurrency           // attempts at the hop at the same time
	PaceConcurrency       // likewise, by its Pacer
	HopRate               // attempts at the hop in a second
	HostConnections       // attempts at the hop's host, which other hops share, or which has no connection free
	Deliveries            // attempts at the same time, in all
	TotalRate             // attempts in a second, in all
	SilentShare           // attempts at hops that do not answer
	ActiveShare           // messages in memory, in all, or the connector's or the hop's share
)

// LimitOf returns why the mail of a hop waits now. It returns NoLimit if no mail
// waits for more than its turn or its own retry. h is nil for a hop that is
// not known: its mail is in the store.
func (s *Scheduler) LimitOf(now time.Time, h *Hop) Limit {
	if l := s.stopped(); l != NoLimit {
		return l
	}
	switch {
	case h == nil && s.full:
		return ActiveShare
	case h == nil:
		return NoLimit
	case h.suspended:
		return IsSuspended
	case h.closed:
		return IsClosed
	case h.dead:
		return RetryWait
	case h.probing && (h.expected || h.inflight > 0):
		return Probing
	case h.n > 0:
		if l := s.turnLimit(now, h); l != NoLimit {
			return l
		}
	}
	if h.congested {
		return ActiveShare
	}
	return NoLimit
}

// turnLimit returns why a hop with parts in memory has no turn.
func (s *Scheduler) turnLimit(now time.Time, h *Hop) Limit {
	switch {
	case s.alone.msg != nil:
		return Alone
	case h.maxConcurrency > 0 && h.inflight >= h.maxConcurrency:
		return PaceConcurrency
	case h.inflight >= h.usable():
		return Concurrency
	case h.notBefore.After(now) && h.busy == 0, h.awaitSpan(now):
		return HopRate
	case h.notBefore.After(now), h.waitsForHost:
		return HostConnections
	case s.delivering >= s.limits.Deliveries:
		return Deliveries
	case s.notBefore.After(now):
		return TotalRate
	case h.single && h.inflight > 0, !h.answers && s.mayTry(now) == 0:
		return SilentShare
	}
	return NoLimit
}

// stopped returns why nothing at all is delivered.
func (s *Scheduler) stopped() Limit {
	switch {
	case !s.running || s.stopping:
		return NotRunning
	case s.broken:
		return StoreBroken
	case s.paused:
		return IsPaused
	case s.drained:
		return IsDrained
	}
	return NoLimit
}

// Limit returns what holds back all mail, or most of it.
func (s *Scheduler) Limit(now time.Time) Limit {
	switch l := s.stopped(); {
	case l != NoLimit:
		return l
	case s.alone.msg != nil:
		return Alone
	case s.delivering >= s.limits.Deliveries:
		return Deliveries
	case s.notBefore.After(now) && s.hopsReady() > 0:
		return TotalRate
	case s.full:
		return ActiveShare
	case s.trialsReady() > 0 && s.ringed[answering] == 0 && s.mayTry(now) == 0:
		return SilentShare
	}
	return NoLimit
}

// Usage is how much of the limits is used.
type Usage struct {
	Active     int // messages in memory, or about to be
	Memory     int64
	Deliveries int // attempts in progress
}

// Usage returns how much of the limits is used.
func (s *Scheduler) Usage() Usage {
	return Usage{Active: len(s.active) + s.reserved, Memory: s.memory, Deliveries: s.delivering}
}
