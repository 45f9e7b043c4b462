package spool

import (
	"errors"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Compaction empties a sealed segment of which at most this share is needed:
// what is needed is copied to the active segment. Each byte copied frees at
// least three. So the log is written at most 4/3 times on average, and is at
// most four times as long as what it has to keep, plus the two segments at its
// end.
const compactShare = 4 // one in

// compactAge is how long compaction leaves a sealed segment alone. Most mail
// leaves within seconds, and then its segment is no longer needed.
const compactAge = 10 * time.Second

// moveBatch is how much compaction copies in one commit, so that no writer
// waits long for it.
const moveBatch = 1 << 20

// compact empties one segment that is worth it, or that is suspect.
func (l *recordLog) compact() {
	g := l.worthEmptying()
	if g == nil {
		return
	}
	defer g.unpin()
	if err := l.empty(g); err != nil {
		if !errors.Is(err, queue.ErrClosed) {
			l.logger.Error("spool: segment cannot be emptied", "segment", g.path, "error", err)
		}
		return
	}
	l.kick()
}

// worthEmptying returns the oldest segment to empty, pinned; nil if there is
// none, or if the state of the disk forbids it.
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
	if l.broken != nil || l.closed || l.noSpare != nil && g != nil && l.used.Load() > l.segmentSize/2 {
		return nil
	}
	g.pin()
	return g
}

// empty copies all that is needed of a segment.
func (l *recordLog) empty(g *segment) error {
	b := make([]byte, g.capacity)
	n, _ := g.file.ReadAt(b, 0)
	clear(b[n:])
	var size int64
	for _, f := range scanSegment(b, g.salt, g.end).found {
		r, err := l.owner.copy(g, f, b[f.off:][:f.size()])
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		l.stats.moved.Add(r.size())
		if size += r.size(); size >= moveBatch {
			if err := l.sync(); err != nil {
				return err
			}
			size = 0
		}
	}
	if err := l.sync(); err != nil {
		return err
	}
	l.mu.Lock()
	g.graves = make(map[uint32]int)
	left := g.live > 0
	g.tried, g.sealed = true, time.Now() // if something is left, the next try is later
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
