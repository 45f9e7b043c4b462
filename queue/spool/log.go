package spool

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A recordLog is the log of a spool: records in a sequence of files, its
// segments. It groups records into commits, begins, reuses and deletes
// segments, and counts which bytes of each segment are still needed. It does
// not know what a record means: its owner does.
//
// Locks: an owner may call the log while it holds its own lock. The log never
// calls its owner with mu held. So the owner's lock always comes first.
type recordLog struct {
	fs          fileSystem
	dir         string // of the segments
	segmentSize int64
	logger      *slog.Logger
	key         key
	owner       recordOwner
	kick        func() // wakes housekeeping
	stats       counters

	// The committer's own: only the goroutine that has set busy uses them.
	nextNumber uint32
	bufs       [][]byte

	used atomic.Int64 // bytes of the active segment; the committer sets it

	mu         sync.Mutex // guards all below
	idle       *sync.Cond // busy or preparing became false
	segments   map[uint32]*segment
	active     *segment // the committer alone writes to it
	pending    batch    // the next commit
	reserve    batch    // memory for the batch after that
	busy       bool     // a goroutine leads a commit
	armed      bool     // timer is set
	timer      *time.Timer
	broken     error // the error of the last commit
	closed     bool
	compactAge time.Duration

	spare     file  // the next segment
	preparing bool  // a goroutine works on the file named spareName
	noSpare   error // why there is no spare: new mail is refused
}

// A recordOwner knows what records mean. The log calls it without its lock,
// durable and undone from one goroutine at a time.
type recordOwner interface {
	// durable enters records that are on stable storage now. Each has its
	// place in at.
	durable(recs []*record)
	// undone takes back new messages and copies that were not written.
	undone(recs []*record)
	// copy returns a copy of a record that was found in a segment and is still
	// needed, already added to the log; nil when it is not needed.
	copy(g *segment, f found, rec []byte) (*record, error)
	// rescue sets aside what is needed of a segment but could not be copied.
	rescue(g *segment)
}

func newLog(dir string, segmentSize int64, fsys fileSystem, logger *slog.Logger) *recordLog {
	l := &recordLog{
		fs: fsys, dir: filepath.Join(dir, "log"), segmentSize: segmentSize, logger: logger,
		kick: func() {}, segments: make(map[uint32]*segment), compactAge: compactAge,
	}
	l.idle = sync.NewCond(&l.mu)
	l.timer = time.AfterFunc(time.Hour, l.flush)
	l.timer.Stop()
	return l
}

// start begins a new segment after recovery. On a full disk it goes on in the
// last one.
func (l *recordLog) start() error {
	err := l.rotate(0)
	if errors.Is(err, queue.ErrFull) {
		l.deleteDead() // which may make room
		if err = l.rotate(0); errors.Is(err, queue.ErrFull) {
			l.noSpare = err
			err = l.resume(err)
		}
	}
	return err
}

// abandon ends the log of a spool that could not be opened. It also stops the
// timer: a later commit could disturb the next Open.
func (l *recordLog) abandon() {
	l.mu.Lock()
	l.closed = true
	for l.busy {
		l.idle.Wait()
	}
	l.timer.Stop()
	l.mu.Unlock()
}

// close commits what is pending and ends the log. Its files stay open until
// closeFiles.
func (l *recordLog) close() error {
	l.mu.Lock()
	l.closed = true
	for l.busy || len(l.pending.waiters) > 0 {
		l.idle.Wait()
	}
	l.busy = true
	l.armed = true // so that wake does not set the timer again
	l.timer.Stop()
	pending := l.pending
	l.pending = batch{}
	l.mu.Unlock()
	return l.write(&pending)
}

func (l *recordLog) closeFiles() {
	for _, g := range l.segments {
		g.file.Close()
	}
	if l.spare != nil {
		l.spare.Close()
	}
}

// mayPut says whether the log takes new messages.
func (l *recordLog) mayPut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return queue.ErrClosed
	}
	return l.noSpare
}

// pin returns the segment of a record that is needed, and keeps its file from
// being reused or closed until unpin. It is nil for a record in a segment that
// does not exist.
func (l *recordLog) pin(at loc) *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.segments[at.segment]
	g.pin()
	return g
}

// An account changes what the segments of a log hold. It has the log's lock
// from account until done.
type account struct{ l *recordLog }

func (l *recordLog) account() account {
	l.mu.Lock()
	return account{l}
}

func (a account) done() { a.l.mu.Unlock() }

// hold counts a record as needed.
func (a account) hold(at loc) {
	if g := a.l.segments[at.segment]; g != nil {
		g.live += int64(at.size)
	}
}

// release counts a record as no longer needed. The zero loc is no record.
func (a account) release(at loc) {
	g := a.l.segments[at.segment]
	if g == nil {
		return
	}
	if g.live -= int64(at.size); g.live == 0 && g != a.l.active {
		a.l.kick()
	}
}

// bury counts a removal in a segment: it is needed as long as the segment
// grave, which has the removed message, exists.
func (a account) bury(in, grave uint32) {
	if g := a.l.segments[in]; g != nil && a.l.segments[grave] != nil {
		g.graves[grave]++
	}
}

// moved notes that a segment has the copy of a record in another one.
func (a account) moved(to, from uint32) {
	if g := a.l.segments[to]; g != nil {
		g.sources[from] = true
	}
}
