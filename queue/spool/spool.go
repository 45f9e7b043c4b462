package spool

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// ErrInUse is what Open says of a spool that another process, or another
// Spool of this one, has open.
var ErrInUse = errors.New("spool: in use by another process")

// Options change how a spool works. The zero value has the defaults, which
// suit most; none of them changes the format.
type Options struct {
	// SegmentSize is the length of a log file in bytes. One of them is always
	// there, and a second one when the first is half full. Default 64 MiB, at
	// least 64 KiB, at most 1 GiB.
	SegmentSize int64
	// LargeContent is the size in bytes from which content is a file of its
	// own. Default 256 KiB; at most SegmentSize/4.
	LargeContent int64
	// Logger hears of recovery, of trouble with the disk and of damage; nil
	// is silent.
	Logger *slog.Logger
}

// A Spool is a queue.Store on disk. Open makes one. It is safe for concurrent
// use, and it is a queue.Marker.
type Spool struct {
	dir          string
	segmentSize  int64
	largeContent int64
	log          *slog.Logger
	fs           fileSystem
	lock         io.Closer
	recovery     Recovery
	marks        *marks
	compactAge   time.Duration
	seed         maphash.Seed
	nextSeq      atomic.Uint64
	stats        counters
	named        atomic.Bool // no nameless files here, see CreateFile
	token        string      // in the names of this Spool's nameless files
	key          key
	replayed     map[uint64]replayed // by sequence number, while recovering

	// The committer's own: only who has set busy touches them.
	nextNumber uint32
	bufs       [][]byte
	used       atomic.Int64 // of the active segment, in bytes

	mu       sync.Mutex // guards all below
	idle     *sync.Cond // busy or preparing became false
	index    index.Index[entryData]
	segments map[uint32]*segment
	active   *segment // written by the committer only
	pending  batch    // gathers
	reserve  batch    // memory for the next one
	busy     bool     // somebody leads a commit
	armed    bool     // timer is set
	timer    *time.Timer
	broken   error // what the last commit failed with

	unsynced map[index.Slot]*record // newest states that are not on disk yet
	moving   map[uint64]*record     // copies on their way, by message

	spare     file  // the next segment
	preparing bool  // somebody works on the file of that name
	noSpare   error // why there is none: new mail is refused
	trash     []uint64
	closed    bool

	tidying sync.Mutex // see tidy

	kicked chan struct{} // wakes housekeeping
	done   chan struct{} // closed when housekeeping has ended
	stop   chan struct{} // closed to end it
}

// entryData is what the spool keeps of a message in its index.
type entryData struct {
	seq     uint64
	sum     uint64 // hash of the recipients as last recorded; 0 is unknown
	message loc
	state   loc // newer than the message's own; nowhere if there is none
	inFile  bool
	delayed bool // the schedule last recorded has a due time
}

type entry = index.Entry[entryData]

var (
	_ queue.Store  = (*Spool)(nil)
	_ queue.Marker = (*Spool)(nil)
)

// Open opens the spool in dir, makes it where there is none, and recovers
// what it holds; see [Spool.Recovery]. ErrInUse means that another process
// has it.
func Open(dir string, o *Options) (*Spool, error) {
	return open(dir, o, osFS{})
}

func open(dir string, o *Options, fsys fileSystem) (*Spool, error) {
	s := newSpool(dir, o, fsys)
	for _, d := range []string{dir, s.logDir(), s.filesDir(), s.damagedDir()} {
		if err := fsys.MkdirAll(d); err != nil {
			return nil, diskError(err)
		}
	}
	if _, real := fsys.(osFS); real {
		var err error
		if s.lock, err = lockFile(filepath.Join(dir, "lock")); err != nil {
			return nil, err
		}
	}
	if err := s.start(); err != nil {
		s.giveUp()
		return nil, err
	}
	return s, nil
}

// giveUp ends a spool that could not be opened: also the timer, which would
// try a commit again where the next Open may be at work by then.
func (s *Spool) giveUp() {
	s.mu.Lock()
	s.closed = true
	for s.busy {
		s.idle.Wait()
	}
	s.timer.Stop()
	s.mu.Unlock()
	s.closeFiles()
}

// newSpool is a spool that is not recovered yet.
func newSpool(dir string, o *Options, fsys fileSystem) *Spool {
	if o == nil {
		o = new(Options)
	}
	s := &Spool{
		dir: dir, fs: fsys, segmentSize: o.SegmentSize, largeContent: o.LargeContent, log: o.Logger,
		compactAge: compactAge, seed: maphash.MakeSeed(), segments: make(map[uint32]*segment),
		unsynced: make(map[index.Slot]*record), moving: make(map[uint64]*record),
		kicked: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{}),
	}
	if s.segmentSize <= 0 {
		s.segmentSize = 64 << 20
	}
	s.segmentSize = min(max(s.segmentSize, 64<<10), 1<<30)
	if s.largeContent <= 0 {
		s.largeContent = 256 << 10
	}
	s.largeContent = min(s.largeContent, s.segmentSize/4)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.idle = sync.NewCond(&s.mu)
	s.timer = time.AfterFunc(time.Hour, s.flush)
	s.timer.Stop()
	return s
}

// start recovers, begins a new segment and sets housekeeping going.
func (s *Spool) start() error {
	if err := s.recover(); err != nil {
		return err
	}
	s.readMarks()
	s.replayed = nil
	s.recovery.report(s.log, s.dir)
	err := s.rotate(0)
	if errors.Is(err, queue.ErrFull) {
		s.deleteDead() // which may make room
		if err = s.rotate(0); errors.Is(err, queue.ErrFull) {
			s.noSpare = err
			err = s.goOn(err)
		}
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	if err := s.commit(nil); err != nil { // the marks that were found
		return err
	}
	s.openMarks()
	go s.housekeeping()
	return nil
}

func (s *Spool) logDir() string     { return filepath.Join(s.dir, "log") }
func (s *Spool) filesDir() string   { return filepath.Join(s.dir, "files") }
func (s *Spool) damagedDir() string { return filepath.Join(s.dir, "damaged") }

// Close implements queue.Store. Content of messages in hand cannot be read
// any more.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	s.closed = true
	for s.busy || len(s.pending.waiters) > 0 {
		s.idle.Wait()
	}
	s.busy = true
	s.armed = true // nobody sets the timer again
	s.timer.Stop()
	pending := s.pending
	s.pending = batch{}
	s.mu.Unlock()

	err := s.write(&pending)
	close(s.stop)
	<-s.done
	s.closeFiles()
	return err
}

func (s *Spool) closeFiles() {
	for _, g := range s.segments {
		g.file.Close()
	}
	if s.spare != nil {
		s.spare.Close()
	}
	if s.marks != nil {
		s.marks.close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// diskError gives what the operating system said the name that package queue
// has for it.
func diskError(err error) error {
	switch {
	case err == nil, errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrReadOnly):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, errQuota):
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", queue.ErrReadOnly, err)
	}
	return fmt.Errorf("spool: %w", err)
}
