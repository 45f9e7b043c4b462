package sched

import "time"

// suspectTurn is the longest time for which a suspect makes the others wait.
const suspectTurn = 30 * time.Second

// suspected reports whether the message must wait for its turn. Messages that
// were active when the process died are attempted one after the other, among
// other mail. If one of them kills the process again, the others are not
// suspected again. A turn ends after suspectTurn.
func (s *Scheduler) suspected(now time.Time, m *Message) bool {
	if m.Alone {
		s.alone.waiting.push(m)
		s.tryAlone(now)
		return true
	}
	if !m.Suspect {
		return false
	}
	if s.suspect != nil {
		s.suspects.push(m)
		return true
	}
	s.turnTo(now, m)
	return false
}

func (s *Scheduler) turnTo(now time.Time, m *Message) {
	s.suspect, s.suspectAt = m, now.Add(suspectTurn)
	s.wakeAt(s.suspectAt)
}

// nextSuspect passes the turn on when m, which has it, leaves.
func (s *Scheduler) nextSuspect(now time.Time, m *Message) {
	if s.suspect != m {
		return
	}
	s.suspect = nil
	if s.suspects.n > 0 {
		s.turnTo(now, s.suspects.pop())
		s.incoming.push(s.suspect)
		s.kick()
	}
}
