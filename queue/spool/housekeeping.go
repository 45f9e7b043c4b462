package spool

import "time"

// Housekeeping is one goroutine for work that no caller waits for. It prepares the
// next segment, deletes content files and dead segments, and compacts the log.
//
// Work that fails makes more work: a commit that fails begins a new segment, and leaves
// one to compact. So after a round in which the disk failed, housekeeping waits for the
// next tick, and for twice as many after each further round that fails. Otherwise a disk
// with errors would fill with segments that failed.

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

// mostTicks is the most ticks that housekeeping waits after rounds that failed.
const mostTicks = 32

func (s *Spool) housekeeping() {
	defer close(s.done)
	t := time.NewTicker(tick)
	defer t.Stop()
	wait := 0 // ticks, after a failure
	for {
		before := s.log.failures.Load()
		s.tidy()
		if s.log.failures.Load() == before {
			wait = 0
		} else {
			wait = min(max(2*wait, 1), mostTicks)
		}
		if !s.idle(t.C, wait) {
			return
		}
	}
}

// idle waits for a kick or a tick, or for a number of ticks if that is positive. A kick
// then stays in its channel. The result is false when the spool closes.
func (s *Spool) idle(ticks <-chan time.Time, n int) bool {
	kicked := s.kicked
	if n > 0 {
		kicked = nil
	}
	for ; ; n-- {
		select {
		case <-s.stop:
			return false
		case <-kicked:
			return true
		case <-ticks:
			if n <= 1 {
				return true
			}
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
