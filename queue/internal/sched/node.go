package sched

import "time"

// This file has the events of a store that several nodes share: see queue.Cluster.

// Drain lets no new attempt begin and gives the messages in memory back, or ends
// that. The parts that wait are put back by the decisions that follow. left are the
// messages that nothing works on; they are no longer active, and the driver releases
// their leases. Attempts in progress continue.
func (s *Scheduler) Drain(now time.Time, drained bool) (left []*Message) {
	s.now = now
	if s.drained == drained {
		return nil
	}
	s.drained = drained
	if !drained {
		s.claimNow()
		s.kick()
		return nil
	}
	left = s.takeWaiting(func(*Message) bool { return true })
	if m := s.alone.msg; m != nil {
		s.endAlone(now, m) // and its parts are put back
	}
	for _, h := range s.hopList {
		s.putBack(s.takeAll(h))
		s.watch(now, h)
	}
	return left
}

// Drained reports whether the node drains.
func (s *Scheduler) Drained() bool { return s.drained }

// LoseLeases notes that the leases of active messages are lost, those for which lost
// returns true. Nothing about them is recorded any more. Attempts in progress end as
// those of any message whose lease is lost.
func (s *Scheduler) LoseLeases(now time.Time, lost func(*Message) bool) {
	s.now = now
	for _, m := range s.active {
		if lost(m) {
			s.lose(m)
		}
	}
	s.loseShares()
	s.takeWaiting(func(m *Message) bool { return m.lost })
	if m := s.alone.msg; m != nil && m.lost {
		s.endAlone(now, m)
	}
	for _, h := range s.hopList {
		s.endLost(now, h)
	}
	s.claimNow()
}

// endLost ends the parts in a hop's queue whose leases are lost.
func (s *Scheduler) endLost(now time.Time, h *Hop) {
	for p := s.takeAll(h); p != nil; {
		next := p.next
		if p.next = nil; p.Msg.lost {
			s.endOrdered(now, p)
		} else {
			s.push(p)
		}
		p = next
	}
	s.watch(now, h)
}

// takeWaiting takes the messages that are active but that nothing works on yet, those
// for which which returns true, and forgets them.
func (s *Scheduler) takeWaiting(which func(*Message) bool) (taken []*Message) {
	take := func(l *messageList) {
		for n := l.n; n > 0; n-- {
			if m := l.pop(); which(m) {
				taken = append(taken, m)
			} else {
				l.push(m)
			}
		}
	}
	take(&s.suspects)
	take(&s.alone.waiting)
	take(&s.incoming)
	if m := s.alone.msg; m != nil && !s.alone.began && which(m) {
		s.alone.msg = nil
		taken = append(taken, m)
	}
	for _, m := range taken {
		s.noProbe(s.now, m)
		s.forget(m)
	}
	return taken
}

// NotBegun notes that the attempt at a part has not begun. lost means that another
// node has the lease of its message. Otherwise the node has no contact with the
// others, and nothing is delivered until Mended.
func (s *Scheduler) NotBegun(now time.Time, p *Part, lost bool) {
	s.now = now
	s.free(p)
	if lost {
		s.lose(p.Msg)
		s.endOrdered(now, p)
		return
	}
	s.breakDown()
	s.enqueue(p)
}

// MendNow makes the loop try at once whether the store can record.
func (s *Scheduler) MendNow(now time.Time) {
	s.now = now
	if s.broken {
		s.mendAt, s.mendWait = now, mendFirst
		s.wake = true
	}
}
