package spool

import "time"

// Housekeeping is one goroutine for work that no caller waits for. It prepares the
// next segment, deletes content files and dead segments, and compacts the log.
//
// Work that fails makes more work: a commit that fails begins a new segment, and leaves
// one to compact. So after a round in which the disk failed, housekeeping waits for the
// next tick. Otherwise the next round would begin at once, and on a disk with errors
// that could go on without end.

// kick wakes housekeeping.
func (s *Spool) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// tick is how often housekeeping runs without a kick, or after a failure. It then looks
// for segments to compact, and tests whether a full disk has room again.
const tick = time.Second

func (s *Spool) housekeeping() {
	defer close(s.done)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		kicked, before := s.kicked, s.log.failures.Load()
		s.tidy()
		if s.log.failures.Load() != before {
			kicked = nil // a kick stays in the channel until the next round
		}
		select {
		case <-s.stop:
			return
		case <-kicked:
		case <-t.C:
		}
	}
}

// tidy does the work of one round.
func (s *Spool) tidy() {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	s.files.removeOld()
	s.log.deleteDead()
	s.log.prepareSpare()
	s.log.makeReserve()
	s.log.compact()
}
