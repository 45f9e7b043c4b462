package sched

import "time"

// This file decides which hop gets the next delivery slot.
//
// Hops that answer can use all slots. Connectors share the slots max-min, and
// the hops of a connector take turns. A hop with a backlog may take a few turns
// in a row.
//
// An attempt at a hop that has not answered is a trial: see trial.go.

const (
	// maxRow is the maximum number of turns of a hop in a row. Each rowStep
	// parts in its queue give a hop one more turn.
	maxRow  = 8
	rowStep = 32
)

// nextPart takes the part whose turn it is, alternately from hops that answer
// and from trials.
func (s *Scheduler) nextPart(now time.Time) *Part {
	if s.delivering >= s.limits.Deliveries || s.rateLimited(now) {
		return nil
	}
	s.tryNext = !s.tryNext
	var p *Part
	if s.tryNext {
		p = s.nextTrial(now)
	}
	if p == nil {
		p = s.nextReady(now)
	}
	if p == nil && !s.tryNext {
		p = s.nextTrial(now)
	}
	if p != nil {
		s.delivering++
	}
	return p
}

// rateLimited reports whether the total rate allows no attempt now.
func (s *Scheduler) rateLimited(now time.Time) bool {
	if !s.notBefore.After(now) {
		return false
	}
	if s.hopsReady() > 0 {
		s.wakeAt(s.notBefore)
		if !s.waited.Equal(s.notBefore) {
			s.waited = s.notBefore
			s.totalWaits++
		}
	}
	return true
}

// nextReady takes a part for a hop that answers.
func (s *Scheduler) nextReady(now time.Time) *Part {
	for {
		c := s.orders[answering].first()
		if c == nil {
			return nil
		}
		if p := s.begin(now, c.rings[answering].first); p != nil {
			return p
		}
	}
}

// begin takes the next part of a hop that is in a ring. The result is nil if the
// hop has none now; the hop is then not in its ring.
func (s *Scheduler) begin(now time.Time, h *Hop) *Part {
	if s.ring(h); h.in == nil {
		return nil
	}
	p := s.pop(h)
	if p.Msg.ordered || p.Msg.lost {
		s.ring(h)
		s.endOrdered(now, p)
		return nil
	}
	h.notBefore, s.notBefore = slot(now, h.limits.Rate), slot(now, s.limits.Rate)
	s.turns++
	h.connector.served = s.turns
	s.occupy(p)
	p.requests, p.asks, p.Fails = h.requests, s.asked, h.fails
	s.endTurn(h)
	s.relieve(h)
	return p
}

// endTurn puts a hop behind the others of its ring, unless it may take another
// turn.
func (s *Scheduler) endTurn(h *Hop) {
	h.row++
	if again := h.ready() && h.row < min(1+h.n/rowStep, maxRow) && h.answers; !again {
		s.unring(h)
	}
	s.ring(h)
}

// awaitRate reports whether a hop must wait because of its rate or because its
// host is busy, and has the loop look at it then.
func (s *Scheduler) awaitRate(h *Hop) bool {
	if !h.notBefore.After(s.now) {
		return false
	}
	if h.busy == 0 && !h.waited.Equal(h.notBefore) {
		h.waited = h.notBefore
		s.rateWaits++
	}
	s.timers.set(h, soonest(h.nextLook(), h.notBefore))
	s.wakeAt(h.notBefore)
	return true
}

// RateWaits returns how often mail that was ready had to wait for the rate of its
// hop, and for the total rate.
func (s *Scheduler) RateWaits() (hop, total uint64) { return s.rateWaits, s.totalWaits }

// slot returns the time of the next attempt at a rate, after one at now.
func slot(now time.Time, rate float64) time.Time {
	if rate <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(time.Second) / rate))
}

// endOrdered ends a part without an attempt, since an operator wants something
// else done with its message, or its lease is lost.
func (s *Scheduler) endOrdered(now time.Time, p *Part) {
	for range p.Recipients {
		p.Msg.Wait(p.Hop.Key, now, now)
	}
	s.watch(now, p.Hop) // another may be the probe, if this was to be one
	s.Ended(p.Msg)
}

// occupy notes that an attempt has begun, free that it has ended.
func (s *Scheduler) occupy(p *Part) {
	p.host = p.Hop.host
	s.count(p, 1)
}

func (s *Scheduler) free(p *Part) {
	s.count(p, -1)
	if p.token {
		s.holdToken(p, -1)
	}
	if p.Hop.shared != nil {
		p.Hop.shared.ended++
		s.needShare(p.Hop)
	}
	s.hostFreed(p.host)
	s.kick()
}

func (s *Scheduler) count(p *Part, n int) {
	h := p.Hop
	h.inflight += n
	h.connector.slots += n
	s.slots += n
	if !h.answers {
		if s.trying == 0 {
			s.trialEnd = s.now
		}
		h.connector.trying += n
		s.trying += n
	}
	s.arrange(h.connector)
	if p.host != nil {
		p.host.inflight += n
	}
}

// setAnswers notes whether a hop answers. Attempts in progress and parts that
// wait are counted with those of its kind.
func (s *Scheduler) setAnswers(h *Hop, answers bool) {
	if h.answers == answers {
		return
	}
	sign := 1
	if answers {
		sign = -1
	}
	h.answers = answers
	s.trying += sign * h.inflight
	s.tokened += sign * h.tokened
	h.connector.trying += sign * h.inflight
	h.connector.trials += sign * h.n
	s.arrange(h.connector)
	if h.congested { // it waits for room as its new kind does
		s.list(h)
	}
}

// enqueue puts a part into its hop's queue.
func (s *Scheduler) enqueue(p *Part) {
	h := p.Hop
	if s.alone.msg == p.Msg {
		if p.turned == 0 && h.busy == 0 {
			s.alone.parts.push(p)
			s.release(h.connector) // the room that was made for it is not used
			s.kick()
			return
		}
		s.endAlone(s.now, p.Msg) // the host is busy
	}
	if h.shut() || s.drained { // during its attempt: in memory it would not expire
		s.putBack(p)
		s.kick()
		return
	}
	s.push(p)
	h.expected = false
	if h.probing {
		s.hold(h)
	}
	s.ring(h)
	s.kick()
}

// putBack has parts put back to the store without an attempt.
func (s *Scheduler) putBack(p *Part) {
	if p == nil {
		return
	}
	for back := p; back != nil; back = back.next {
		back.Hop.returning++
	}
	s.decide(Decision{Kind: Return, Part: p})
}
