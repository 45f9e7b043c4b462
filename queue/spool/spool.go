package spool

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/queue"
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
// use, and it is a queue.DeliveryJournal.
//
// It joins three parts, each with a lock of its own: the log keeps records, the
// index knows which records are the newest of each message, and files are the
// large contents.
type Spool struct {
	dir          string
	largeContent int64
	logger       *slog.Logger
	fs           fileSystem
	log          *recordLog
	index        *messageIndex
	files        *contentFiles
	marks        *marks

	lock     io.Closer // the lock file
	recovery Recovery
	seed     maphash.Seed // of the hashes of recipients
	nextSeq  atomic.Uint64
	damaged  atomic.Int64 // messages, see Stats

	tidying sync.Mutex    // one goroutine at a time runs tidy
	kicked  chan struct{} // wakes housekeeping
	stop    chan struct{} // closed to end housekeeping
	done    chan struct{} // closed when housekeeping has ended
}

var (
	_ queue.Store           = (*Spool)(nil)
	_ queue.DeliveryJournal = (*Spool)(nil)
	_ recordOwner           = (*Spool)(nil)
)

// Open opens the spool in dir, makes it where there is none, and recovers
// what it holds; see [Spool.Recovery]. ErrInUse means that another process
// has it.
func Open(dir string, o *Options) (*Spool, error) {
	return open(dir, o, osFS{})
}

func open(dir string, o *Options, fsys fileSystem) (*Spool, error) {
	s := newSpool(dir, o, fsys)
	for _, d := range []string{dir, s.log.dir, s.files.dir, s.damagedDir()} {
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
		s.log.abandon()
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

// newSpool is a spool that is not recovered yet.
func newSpool(dir string, o *Options, fsys fileSystem) *Spool {
	if o == nil {
		o = new(Options)
	}
	s := &Spool{
		dir: dir, fs: fsys, largeContent: o.LargeContent, logger: o.Logger, seed: maphash.MakeSeed(),
		kicked: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{}),
	}
	segmentSize := o.SegmentSize
	if segmentSize <= 0 {
		segmentSize = 64 << 20
	}
	segmentSize = min(max(segmentSize, 64<<10), 1<<30)
	if s.largeContent <= 0 {
		s.largeContent = 256 << 10
	}
	s.largeContent = min(s.largeContent, segmentSize/4)
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.log = newLog(dir, segmentSize, fsys, s.logger)
	s.log.owner, s.log.kick = s, s.kick
	s.index = newMessageIndex(s.log)
	s.files = newContentFiles(dir, fsys, s.logger)
	s.files.kick = s.kick
	return s
}

// start recovers, begins a new segment and starts housekeeping.
func (s *Spool) start() error {
	r, err := s.recover()
	if err != nil {
		return err
	}
	r.readMarks()
	s.recovery.report(s.logger, s.dir)
	if err := s.log.start(); err != nil {
		return err
	}
	if err := s.log.sync(); err != nil { // the states of readMarks
		return err
	}
	s.openMarks()
	go s.housekeeping()
	return nil
}

// durable implements recordOwner.
func (s *Spool) durable(recs []*record) { s.files.retire(s.index.durable(recs)) }

// undone implements recordOwner.
func (s *Spool) undone(recs []*record) { s.index.undone(recs) }

// copy implements recordOwner.
func (s *Spool) copy(g *segment, f found, rec []byte) (*record, error) {
	return s.index.copy(g, f, rec)
}

func (s *Spool) damagedDir() string { return filepath.Join(s.dir, "damaged") }

// CreateFile makes a file to receive large content into, open for reading and
// writing; use it as smtpserver.Server.Overflow. Put takes over content that is
// in such a file as it is, so that large mail is written once.
//
// The file belongs to the caller, who closes it when Put has returned: the
// spool has its own name for it, and m.Content does not need it any more. The
// garbage collector closes a file that the caller forgets. A file that no Put
// took over disappears when it is closed; after a crash, Open deletes it.
func (s *Spool) CreateFile() (*os.File, error) {
	if err := s.index.err(); err != nil {
		return nil, err
	}
	return s.files.create()
}

// Close implements queue.Store. The content of messages that were claimed
// cannot be read any more.
func (s *Spool) Close() error {
	if !s.index.close() {
		return queue.ErrClosed
	}
	err := s.log.close()
	close(s.stop)
	<-s.done
	s.closeFiles()
	return err
}

func (s *Spool) closeFiles() {
	s.log.closeFiles()
	if s.marks != nil {
		s.marks.close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// diskError wraps an error of the operating system in that of package queue.
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
