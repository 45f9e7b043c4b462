package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A loc is where a record lies; the zero value is nowhere.
type loc struct {
	segment, off, size uint32
}

// A segment is one file of the log. Only the active one is written to, and
// only by the goroutine that commits. Spool.mu guards the accounts below.
type segment struct {
	number   uint32
	salt     salt
	path     string
	file     file
	writable bool // the file was opened for writing
	capacity int64
	end      int64        // where the next record goes; the committer's own
	closed   bool         // nothing may be added any more; the committer's own
	wiped    bool         // retract has done its work; the committer's own
	prev     uint32       // the segment whose end the header says, 0 for none
	pins     atomic.Int32 // contents that somebody may still read from the file

	// live counts the bytes of records that are needed.
	live int64
	// graves counts the removals in this segment by the segment that holds
	// their messages. They are needed until that one is gone: without them
	// its messages would rise again.
	graves map[uint32]int
	// sources are segments that messages in this one were moved from. They
	// must go first, or their copies would rise again.
	sources map[uint32]bool
	sealed  time.Time // when it was last written to; zero while active
	tried   bool      // it was emptied once, as far as that went
	keep    bool      // something in it was damaged and could not be saved
	// suspect: a write or sync failed, and behind the end there may be records
	// that count as little as if they were not there. It is to be emptied.
	suspect bool
}

// graveLen is the length of a removal record.
const graveLen = headerLen + 8

// needed is how many bytes would have to be moved to give the segment up.
func (g *segment) needed() int64 {
	n := g.live
	for _, count := range g.graves {
		n += int64(count) * graveLen
	}
	return n
}

// pin keeps the segment's file from being used anew or closed; it may be
// called under s.mu only, or by who has a pin already.
func (g *segment) pin() {
	if g != nil {
		g.pins.Add(1)
	}
}

func (g *segment) unpin() {
	if g != nil {
		g.pins.Add(-1)
	}
}

func segmentName(number uint32) string { return fmt.Sprintf("%010d.log", number) }

// segmentNumber is the inverse of segmentName; ok is false for other names.
func segmentNumber(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && name == segmentName(uint32(n))
}

// spareName is a segment that is not in use yet.
const spareName = "spare"

// newSpare makes a file of zeros in the log directory. Writing them now means
// that a commit overwrites blocks that are there: it changes no metadata,
// which makes its sync about half as dear, and it cannot run out of disk.
func (s *Spool) newSpare(size int64) (file, error) {
	name := filepath.Join(s.logDir(), spareName)
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := s.fs.Open(name, create)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		err = f.WriteAt([][]byte{zeros[:min(int64(len(zeros)), size-off)]}, off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		s.fs.Remove(name)
		return nil, err
	}
	return f, nil
}

// begin makes the spare file f the segment after prev: its header is durable
// before it has its name, and the name before anything is written to it.
func (s *Spool) begin(f file, number uint32, prev *segment) (*segment, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	h := segmentHeader{version: version, number: uint64(number), begun: time.Now().UnixNano(), key: s.key}
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
		// From here on there may be a segment that says where prev ends, even
		// if what follows fails: prev must not grow any more.
		prev.closed = true
	}
	path := filepath.Join(s.logDir(), segmentName(number))
	if err := s.fs.Rename(filepath.Join(s.logDir(), spareName), path); err != nil {
		return nil, err
	}
	if err := s.fs.SyncDir(s.logDir()); err != nil {
		return nil, err
	}
	g := s.newSegment(number, path, f, size)
	g.writable = true
	if prev != nil {
		g.prev = prev.number
	}
	return g, nil
}

func (s *Spool) newSegment(number uint32, path string, f file, size int64) *segment {
	return &segment{
		number: number, salt: s.key.salt(number), path: path, file: f, capacity: size, end: segmentHeaderLen,
		graves: make(map[uint32]int), sources: make(map[uint32]bool),
	}
}

// goOn makes the last segment that was recovered the active one, where a full
// disk has no room for a new one. What lies behind its end is overwritten
// first: records of a commit that was torn must not come back behind new ones.
func (s *Spool) goOn(full error) error {
	last := s.newest()
	if last == nil || last.closed {
		return full
	}
	f, err := s.fs.Open(last.path, write)
	if err != nil {
		return diskError(err)
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
	s.active = last
	s.used.Store(last.end)
	return nil
}

// newest is the segment with the highest number, nil if there is none.
func (s *Spool) newest() (last *segment) {
	for _, g := range s.segments {
		if last == nil || g.number > last.number {
			last = g
		}
	}
	return last
}
