package spool

import (
	"errors"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Compaction empties a sealed segment when at most 1/compactShare of it is
// needed: it copies the needed records to the active segment. Each byte that is
// copied frees at least three others. So on average each byte is written at most
// 4/3 times, and the log is at most four times as long as the needed records, plus
// the two segments at its end.
const compactShare = 4

// compactAge is the minimum age of a sealed segment that compaction empties. Most
// mail is delivered within seconds, and then its segment is not needed any more.
const compactAge = 10 * time.Second

// moveBatch is how many bytes compaction copies in one commit. It is small, so
// that writers do not wait long.
const moveBatch = 1 << 20

// compact empties one segment that is suspect or mostly not needed.
func (l *recordLog) compact() {
	g := l.worthEmptying()
	if g == nil {
		return
	}
	defer g.unpin()
	if err := l.empty(g); err != nil {
		l.failures.Add(1)
		if !errors.Is(err, queue.ErrClosed) {
			l.logger.Error("spool: cannot compact segment", "segment", g.path, "error", err)
		}
		return
	}
	l.kick()
}

// shrink compacts the log while it is longer than its limit. Open calls it before it
// returns, because a process that dies soon has no time to compact the log later.
// It stops if the disk fails; housekeeping then does the rest.
func (l *recordLog) shrink() {
	for before := l.failures.Load(); ; {
		l.deleteDead()
		if !l.tooLong() || l.failures.Load() != before {
			return
		}
		g := l.worthEmptying()
		if g == nil {
			return
		}
		err := l.empty(g)
		g.unpin()
		if err != nil {
			l.logger.Error("spool: cannot compact segment", "segment", g.path, "error", err)
			return
		}
	}
}

// tooLong reports whether the log is longer than its limit.
func (l *recordLog) tooLong() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := 2 * l.segmentSize
	var length int64
	for _, g := range l.segments {
		length += g.capacity
		limit += compactShare * g.needed()
	}
	return length > limit
}

// worthEmptying returns the oldest segment to empty, pinned. It returns nil if
// there is none, or if the disk fails or is full.
func (l *recordLog) worthEmptying() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	var g *segment
	for _, c := range l.segments {
		if c == l.active || c.keep {
			continue
		}
		if time.Since(c.sealed) < l.compactAge && !(c.suspect && !c.tried) || !c.suspect && c.needed() > c.capacity/compactShare {
			continue
		}
		if c.needed() > 0 && (g == nil || c.number < g.number) {
			g = c
		}
	}
	if l.noSpare != nil && l.active != nil && l.active.capacity < l.segmentSize {
		return nil // the room is for dispositions
	}
	if l.broken != nil || l.closed || l.noSpare != nil && g != nil && l.used.Load() > l.segmentSize/2 {
		return nil
	}
	g.pin()
	return g
}

// errDiskFails means that a segment is not empty yet, because a commit has failed.
var errDiskFails = errors.New("spool: the disk fails, the rest is copied later")

// empty copies all needed records of a segment. It holds a window of the segment and
// about moveBatch of copies in memory. It stops when a commit has failed, also if that
// commit began a new segment and then succeeded: otherwise each batch could do so.
func (l *recordLog) empty(g *segment) (err error) {
	sc := newScanner(g.file, g.capacity, g.salt)
	var size int64
	before := l.failures.Load()
	sc.record = func(f found) {
		if err != nil {
			return
		}
		var r *record
		if r, err = l.owner.copy(g, f, sc.at(f.off, f.size())); r == nil {
			return
		}
		l.stats.moved.Add(r.size())
		if size += r.size(); size >= moveBatch {
			err = l.sync()
			size = 0
			if err == nil && l.failures.Load() != before {
				err = errDiskFails
			}
		}
	}
	sc.damage = func(gap) {}
	sc.scan(g.end, g.end)
	if err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}
	l.mu.Lock()
	g.removals = make(map[uint32]int)
	left := g.live > 0
	g.tried, g.sealed = true, time.Now() // if something is left, try again after compactAge
	l.mu.Unlock()
	if left {
		l.owner.rescue(g)
	}
	return nil
}

// exists reports whether the log has a segment with this number.
func (l *recordLog) exists(number uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[number] != nil
}
