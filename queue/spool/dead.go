package spool

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// dead returns a segment that is not needed, nil if there is none:
//   - None of its messages and states is needed.
//   - The segments with the messages that it removes do not exist any more. So
//     these messages cannot come back.
//   - The segments from which its messages were copied do not exist any more.
//   - The segment before it is not suspect. The header of a segment has the end
//     of the segment before. Recovery needs this end to ignore later records.
//   - It has no damaged bytes that could not be saved.
//
// The caller has locked mu.
func (l *recordLog) dead() *segment {
	for _, g := range l.segments {
		if g == l.active || g.live > 0 || g.keep {
			continue
		}
		before := l.segments[g.prev]
		needed := before != nil && before.suspect
		for n := range g.removals {
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

// deleteDead deletes dead segments, or makes one of them the spare. Until the
// directory is synced, a deleted segment may come back after a power failure, so
// the removals of its messages must still exist.
func (l *recordLog) deleteDead() {
	for {
		l.mu.Lock()
		g := l.dead()
		reuse := g != nil && l.spare == nil && !l.preparing && g.writable && !g.suspect &&
			g.capacity == l.segmentSize && g.pins.Load() == 0
		if reuse {
			l.preparing = true // this goroutine uses the file spareName
		}
		l.mu.Unlock()
		if g == nil {
			return
		}
		if err := l.drop(g, reuse); err != nil {
			l.failures.Add(1)
			l.logger.Error("spool: cannot delete dead segment", "segment", g.path, "error", err)
			return
		}
	}
}

// removeFile takes a segment out of the list of segments, and then deletes its file, or
// makes it the spare if reuse is set. gone means that the file did not exist.
func (l *recordLog) removeFile(g *segment, reuse bool) (gone bool, err error) {
	if err := l.names.remove(g.number); err != nil {
		return false, err
	}
	if reuse {
		err = l.fs.Rename(g.path, filepath.Join(l.dir, spareName))
	} else {
		err = l.fs.Remove(g.path)
	}
	if errors.Is(err, fs.ErrNotExist) { // an earlier call succeeded, and then SyncDir failed
		gone, err = true, nil
	}
	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	return gone, err
}

// drop takes a dead segment out of the log, and makes its file the spare if
// reuse is set.
func (l *recordLog) drop(g *segment, reuse bool) error {
	l.beforeDrop()
	gone, err := l.removeFile(g, reuse)
	l.mu.Lock()
	defer l.mu.Unlock()
	if reuse {
		l.preparing = false
		if reuse = !gone; err == nil && reuse {
			l.spare = g.file
			l.setNoSpare(nil)
		}
		l.idle.Broadcast()
	}
	if err == nil {
		delete(l.segments, g.number)
		l.stats.deleted.Add(1)
		if !reuse && g.pins.Load() == 0 {
			g.file.Close() // the file of a pinned segment is closed when its last reader is collected
		}
	}
	return err
}
