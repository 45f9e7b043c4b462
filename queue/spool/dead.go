package spool

import "path/filepath"

// dead returns a segment that is not needed: none of its messages and states
// is, and no message that its removals belong to could come back, because the
// segments that have those messages are gone. The segment after a suspect one
// is needed as long as that one exists: its header says which records there do
// not count. The caller holds mu.
func (l *recordLog) dead() *segment {
	for _, g := range l.segments {
		if g == l.active || g.live > 0 || g.keep {
			continue
		}
		before := l.segments[g.prev]
		needed := before != nil && before.suspect
		for n := range g.graves {
			needed = needed || n != g.number && l.segments[n] != nil
		}
		for n := range g.sources {
			needed = needed || n != g.number && l.segments[n] != nil
		}
		if !needed {
			return g
		}
	}
	return nil
}

// deleteDead deletes dead segments, or makes one of them the spare. A segment
// is gone only when its directory is synced: until then it may come back after
// a power failure, and the removals of its messages must exist.
func (l *recordLog) deleteDead() {
	for {
		l.mu.Lock()
		g := l.dead()
		reuse := g != nil && l.spare == nil && !l.preparing && g.writable && !g.suspect &&
			g.capacity == l.segmentSize && g.pins.Load() == 0
		if reuse {
			l.preparing = true // the name spareName is taken
		}
		l.mu.Unlock()
		if g == nil {
			return
		}
		if err := l.drop(g, reuse); err != nil {
			l.logger.Error("spool: dead segment cannot be deleted", "segment", g.path, "error", err)
			return
		}
	}
}

// drop takes a dead segment out of the log, and makes its file the spare if
// reuse is set.
func (l *recordLog) drop(g *segment, reuse bool) error {
	var err error
	if reuse {
		err = l.fs.Rename(g.path, filepath.Join(l.dir, spareName))
	} else {
		err = l.fs.Remove(g.path)
	}
	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if reuse {
		l.preparing = false
		if err == nil {
			l.spare, l.noSpare = g.file, nil
		}
		l.idle.Broadcast()
	}
	if err == nil {
		delete(l.segments, g.number)
		l.stats.deleted.Add(1)
		if !reuse && g.pins.Load() == 0 {
			g.file.Close() // otherwise the last content that is read keeps it open
		}
	}
	return err
}
