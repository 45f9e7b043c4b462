package spool

import (
	"cmp"
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

	"github.com/bridgehead-mail/bridgehead/internal/filelock"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/internal/vfs"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/marks"
)

// ErrInUse is the error of Open for a spool that is open already, in this process
// or another one.
var ErrInUse = errors.New("spool: in use by another process")

// lockError returns the error of the lock of a file.
func lockError(name string, err error) error {
	if err == filelock.ErrLocked {
		err = ErrInUse
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Options are the settings of a spool. The zero value has the defaults, which are
// right for most relays. Open returns an error for a value that is out of range. The
// options do not affect the format: a spool can be opened with other options later.
type Options struct {
	// SegmentSize is the size of a segment, a file of the log, in bytes. One
	// segment always exists. When it is half full, there is also a second one.
	// Default 64 MiB, at least 64 KiB, at most 1 GiB.
	SegmentSize int64
	// LargeContent is a size in bytes. Content of this size or larger is stored
	// in a separate file. Default 256 KiB or SegmentSize/4, whichever is smaller;
	// at least 1, at most SegmentSize/4.
	LargeContent int64
	// DamagedBytes and DamagedFiles are the maximum size and number of the
	// files in the directory damaged. This directory has the bytes and files
	// that Open or Claim could not read. When a limit is exceeded, the spool
	// deletes the oldest files and logs each of them. Defaults: 50 MiB and
	// 10,000 files. -1 is no limit; other negative values are errors.
	DamagedBytes int64
	DamagedFiles int
	// Logger gets a line about the recovery, about errors of the disk and about
	// damage. Default: that of the gateway.Gateway whose Queue has the Spool as
	// its Store. That Logger also gets the lines that were logged since Open,
	// at most 100. If there is none, nothing is logged.
	Logger *slog.Logger
	// FileSystem is for the tests of this module: they use a disk in memory.
	// The default is the file system of the operating system.
	FileSystem vfs.FileSystem
}

// A Spool is a queue.Store on disk. Open makes one. It is safe for concurrent
// use, and it is a queue.DeliveryJournal.
//
// It joins three parts, each with its own lock: the log has the records, the index
// has the location of the newest records of each message, and files has the content
// files.
type Spool struct {
	dir          string
	largeContent int64
	damagedBytes int64
	damagedFiles int
	logger       *slog.Logger
	fs           fileSystem
	log          *recordLog
	index        *messageIndex
	files        *contentFiles
	marks        *marks.Set
	suspensions  suspensionFile

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
	_ queue.Store            = (*Spool)(nil)
	_ queue.DeliveryJournal  = (*Spool)(nil)
	_ queue.RecipientUpdater = (*Spool)(nil)
	_ queue.CloseNotifier    = (*Spool)(nil)
	_ queue.Searcher         = (*Spool)(nil)
	_ queue.Walker           = (*Spool)(nil)
	_ queue.StoreReporter    = (*Spool)(nil)
	_ queue.SuspensionStore  = (*Spool)(nil)
	_ recordOwner            = (*Spool)(nil)
)

// Open opens the spool in the directory dir, or creates it if there is none. It
// recovers the messages in it, see [Spool.Recovery]. The error is ErrInUse if the
// spool is open already. If o is nil, the options are the defaults; if an option is
// out of range, the error names it, and Open does not create or change anything. The
// caller must call Close.
func Open(dir string, o *Options) (*Spool, error) {
	if o == nil {
		o = new(Options)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.FileSystem != nil {
		return open(dir, o, o.FileSystem)
	}
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
		noCopyOnWrite(s.log.dir)
	}
	if err := s.start(); err != nil {
		s.log.abandon()
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

// newSpool returns a spool that is not recovered yet.
func newSpool(dir string, o *Options, fsys fileSystem) *Spool {
	if o == nil {
		o = new(Options)
	}
	s := &Spool{
		dir: dir, fs: fsys, largeContent: o.LargeContent, logger: site.Part(o.Logger, site.PartStore), seed: maphash.MakeSeed(),
		kicked: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{}),
	}
	s.damagedBytes, s.damagedFiles = cmp.Or(o.DamagedBytes, defaultDamagedBytes), cmp.Or(o.DamagedFiles, defaultDamagedFiles)
	segmentSize := o.segmentSize()
	if s.largeContent == 0 {
		s.largeContent = min(defaultLargeContent, segmentSize/4)
	}
	if s.logger == nil {
		s.logger = slog.New(new(heldLog)) // until Inherit
	}
	s.log = newLog(dir, segmentSize, fsys, s.logger)
	s.log.owner, s.log.kick = s, s.kick
	s.log.beforeDrop = func() { s.files.removeOld(); s.files.syncRemoved() }
	s.index = newMessageIndex(s.log)
	s.suspensions.fs, s.suspensions.dir = fsys, dir
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
	s.limitDamaged()
	r.readMarks()
	s.recovery.report(s.logger, s.dir)
	if err := s.log.start(); err != nil {
		return err
	}
	if err := s.log.sync(); err != nil { // the states of readMarks
		return err
	}
	s.log.shrink()
	s.openMarks()
	s.log.makeReserve()
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

// CreateFile creates a file for large content that is being received, open for
// reading and writing. It is meant for smtpserver.Server.ContentFile. Put adopts such a
// file and does not copy it, so that large mail is written once.
//
// The caller must close the file after Put. The spool and m.Content then do not
// use the open file: Put gives the file another name, and the spool opens it
// again when it needs it. The garbage collector closes a file that the caller
// has not closed. A file that Put has not adopted is deleted when it is closed,
// or by Open after a crash.
func (s *Spool) CreateFile() (*os.File, error) {
	if err := s.index.err(); err != nil {
		return nil, err
	}
	return s.files.create()
}

// Close implements queue.Store. After Close the content of claimed messages cannot
// be read any more.
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

// Closed implements queue.CloseNotifier.
func (s *Spool) Closed() <-chan struct{} { return s.stop }

func (s *Spool) closeFiles() {
	s.log.closeFiles()
	if s.marks != nil {
		s.marks.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// diskError wraps an error of the operating system in the error of package queue
// that it means.
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
