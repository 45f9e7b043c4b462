package spool

import "time"

// Housekeeping is one goroutine for work that no caller waits for. It prepares the
// next segment, deletes content files and dead segments, and compacts the log.

// kick wakes housekeeping.
func (s *Spool) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// tick is how often housekeeping runs without a kick. It then looks for segments
// to compact, and tests whether a full disk has room again.
const tick = time.Second

func (s *Spool) housekeeping() {
	defer close(s.done)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		s.tidy()
		select {
		case <-s.stop:
			return
		case <-s.kicked:
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
