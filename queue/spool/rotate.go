package spool

import (
	"fmt"
	"math"
	"path/filepath"
	"time"
)

// rotate makes a new segment the active one, with room for at least size
// bytes of records. Only the committer calls it.
func (l *recordLog) rotate(size int64) error {
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

	g, err := l.nextSegment(f, size)

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
func (l *recordLog) nextSegment(f file, size int64) (*segment, error) {
	if f != nil {
		if have, err := f.Size(); err != nil || have < size {
			f.Close()
			f = nil
		}
	}
	if f == nil {
		var err error
		if f, err = l.newSpare(max(size, l.segmentSize)); err != nil {
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
	path := filepath.Join(l.dir, segmentName(number))
	if err := l.fs.Rename(filepath.Join(l.dir, spareName), path); err != nil {
		return nil, err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return nil, err
	}
	g := l.newSegment(number, path, f, size)
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

// resume makes the last recovered segment the active one, because a full disk has
// no room for a new one. It first overwrites the bytes after the end of the segment,
// so that records of a torn commit do not come back after new ones.
func (l *recordLog) resume(full error) error {
	last := l.newest()
	if last == nil || last.closed {
		return full
	}
	f, err := l.fs.Open(last.path, write)
	if err != nil {
		return diskError(err)
	}
	if h, ok := last.header(); ok && h.version < version {
		// An older program must not read the new records.
		h.version = version
		if err = f.WriteAt([][]byte{h.encode()}, 0); err == nil {
			err = f.Sync()
		}
		last.version = version
	}
	for off := last.end; off < last.capacity && err == nil; {
		n := min(last.capacity-off, 1<<20)
		err = f.WriteAt([][]byte{make([]byte, n)}, off)
		off += n
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		return diskError(err)
	}
	last.file.Close()
	last.file, last.writable = f, true
	l.active = last
	l.used.Store(last.end)
	return nil
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
