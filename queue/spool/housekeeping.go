package spool

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Housekeeping is one goroutine that does what nobody waits for: it gets the
// next segment ready, removes content files and dead segments, and moves
// stragglers.

// kick wakes housekeeping.
func (s *Spool) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// tick is how often housekeeping looks for what nobody kicks it for:
// segments to compact, a disk that has room again.
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

// tidy does what there is to do. One goroutine at a time does it: tests do it
// too.
func (s *Spool) tidy() {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	s.emptyTrash()
	s.deleteDead()
	s.prepareSpare()
	s.compact()
}

// emptyTrash removes the content files of messages whose removal is durable.
// A file that stays is swept by the next Open.
func (s *Spool) emptyTrash() {
	s.mu.Lock()
	trash := s.trash
	s.trash = nil
	s.mu.Unlock()
	for _, seq := range trash {
		if err := s.fs.Remove(s.fileName(seq)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("spool: content file stays behind", "error", err)
		}
	}
}

// dead is a segment that nobody needs: none of its messages and states lives,
// and no message that its removals belong to could rise again, because the
// segments that hold those are gone. The segment after a suspect one is needed
// as long as that is there: its header says which records do not count. s.mu
// is held.
func (s *Spool) dead() *segment {
	for _, g := range s.segments {
		if g == s.active || g.live > 0 || g.keep {
			continue
		}
		before := s.segments[g.prev]
		needed := before != nil && before.suspect
		for n := range g.graves {
			needed = needed || n != g.number && s.segments[n] != nil
		}
		for n := range g.sources {
			needed = needed || n != g.number && s.segments[n] != nil
		}
		if !needed {
			return g
		}
	}
	return nil
}

// deleteDead removes dead segments, or makes one the next spare. A segment
// counts as gone when its directory is synced and not before: until then it
// may come back after a power failure, and the removals must be there.
func (s *Spool) deleteDead() {
	for {
		s.mu.Lock()
		g := s.dead()
		reuse := g != nil && s.spare == nil && !s.preparing && g.writable && !g.suspect &&
			g.capacity == s.segmentSize && g.pins.Load() == 0
		if reuse {
			s.preparing = true // the name "spare" is taken
		}
		s.mu.Unlock()
		if g == nil {
			return
		}
		var err error
		if reuse {
			err = s.fs.Rename(g.path, filepath.Join(s.logDir(), spareName))
		} else {
			err = s.fs.Remove(g.path)
		}
		if err == nil {
			err = s.fs.SyncDir(s.logDir())
		}
		s.mu.Lock()
		if reuse {
			s.preparing = false
			if err == nil {
				s.spare, s.noSpare = g.file, nil
			}
			s.idle.Broadcast()
		}
		if err == nil {
			delete(s.segments, g.number)
			s.stats.deleted.Add(1)
			if !reuse && g.pins.Load() == 0 {
				g.file.Close() // otherwise the last content in hand keeps it open
			}
		}
		s.mu.Unlock()
		if err != nil {
			s.log.Error("spool: dead segment stays behind", "segment", g.path, "error", err)
			return
		}
	}
}

// prepareSpare makes the next segment ready when half of the active one is
// used; until then a dead segment may come along to be used anew, which costs
// nothing.
func (s *Spool) prepareSpare() {
	s.mu.Lock()
	soon := s.used.Load() >= s.segmentSize/2 || s.noSpare != nil
	s.mu.Unlock()
	if soon {
		s.makeSpare()
	}
}

// needSpare waits until the next segment is ready, and makes it if it must.
// When there is no room for one housekeeping goes on trying.
func (s *Spool) needSpare() error {
	s.mu.Lock()
	for s.preparing {
		s.idle.Wait()
	}
	have, err := s.spare != nil, s.noSpare
	s.mu.Unlock()
	if have || err != nil {
		return err
	}
	s.makeSpare()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noSpare
}

// makeSpare makes the next segment, if it is not there. As long as it cannot
// be made new mail is refused.
func (s *Spool) makeSpare() {
	s.mu.Lock()
	if s.spare != nil || s.preparing {
		s.mu.Unlock()
		return
	}
	s.preparing = true
	s.mu.Unlock()

	f, err := s.newSpare(s.segmentSize)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.preparing = false
	if err == nil {
		s.spare = f
	} else if s.noSpare == nil {
		s.log.Error("spool: no room for another segment, new mail is refused", "error", err)
	}
	s.noSpare = diskError(err)
	s.idle.Broadcast()
}
