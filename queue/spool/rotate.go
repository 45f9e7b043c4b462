package spool

import (
	"fmt"
	"math"
	"path/filepath"
	"time"
)

// rotate makes a new segment the active one, with room for at least size
// bytes of records. Only the committer calls it.
func (l *recordLog) rotate(size int64) error { return l.rotateTo(size, l.segmentSize) }

// rotateTo makes a new segment of at least the given length the active one.
func (l *recordLog) rotateTo(size, length int64) error {
	size = padded(segmentHeaderLen + size)
	if size > math.MaxUint32 {
		return fmt.Errorf("spool: a batch of %d bytes is too large for a segment", size)
	}
	l.mu.Lock()
	for l.preparing {
		l.idle.Wait()
	}
	l.preparing = true
	f := l.spare
	l.spare = nil
	l.mu.Unlock()

	g, err := l.nextSegment(f, size, length)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.preparing = false
	l.idle.Broadcast()
	if err != nil {
		return diskError(err)
	}
	if l.active != nil {
		l.active.sealed = time.Now()
	}
	l.active = g
	l.used.Store(g.end)
	l.segments[g.number] = g
	l.kick()
	return nil
}

// nextSegment begins a segment with room for at least size bytes, in the
// spare file f if that is large enough.
func (l *recordLog) nextSegment(f file, size, length int64) (*segment, error) {
	if f != nil {
		if have, err := f.Size(); err != nil || have < size {
			f.Close()
			f = nil
		}
	}
	if f == nil {
		var err error
		if f, err = l.newSpare(max(size, length)); err != nil {
			return nil, err
		}
	}
	prev := l.active
	if prev == nil {
		prev = l.newest() // a recovered segment: the new header keeps its end
	}
	g, err := l.begin(f, l.nextNumber, prev)
	l.nextNumber++ // also after an error, because the name may exist on disk
	if err != nil {
		f.Close()
	}
	return g, err
}

// begin makes the spare file f the segment after prev. Its header is durable
// before it gets its name, and its name before a record is written to it.
func (l *recordLog) begin(f file, number uint32, prev *segment) (*segment, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	h := segmentHeader{version: version, number: uint64(number), begun: time.Now().UnixNano(), key: l.key}
	g := l.newSegment(number, filepath.Join(l.dir, segmentName(number)), f, size)
	g.scanEnd = g.scanStep()
	h.scanEnd = g.scanEnd
	if prev != nil {
		h.prev, h.prevEnd = uint64(prev.number), prev.end
	}
	if err := f.WriteAt([][]byte{h.encode()}, 0); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if prev != nil {
		// From here on a segment may exist whose header has the end of prev, even
		// if the next steps fail. So prev must not grow any more.
		prev.closed = true
	}
	if err := l.fs.Rename(filepath.Join(l.dir, spareName), g.path); err != nil {
		return nil, err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		// Otherwise the file would use the room of a segment until the next Open.
		l.fs.Remove(g.path)
		return nil, err
	}
	l.names.add(number)
	g.writable, g.version = true, version
	if prev != nil {
		g.prev = prev.number
	}
	return g, nil
}

func (l *recordLog) newSegment(number uint32, path string, f file, size int64) *segment {
	return &segment{
		number: number, salt: l.key.salt(number), path: path, file: f, capacity: size, end: segmentHeaderLen,
		removals: make(map[uint32]int), sources: make(map[uint32]bool),
	}
}

// newest returns the segment with the highest number, nil if there is none.
func (l *recordLog) newest() (last *segment) {
	for _, g := range l.segments {
		if last == nil || g.number > last.number {
			last = g
		}
	}
	return last
}
