package sched

import "time"

// suspectTurn is the longest time for which a suspect makes the others wait.
const suspectTurn = 30 * time.Second

// suspected says whether the message must wait for its turn among those that
// were active when the process died: they are tried one after the other, each
// alone, so that one of them that is to blame does not draw suspicion on the
// others again. One that takes long and kills nobody does not keep the others
// any longer.
func (s *Scheduler) suspected(now time.Time, m *Message) bool {
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

// nextSuspect gives the turn on when the message that has it leaves.
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
