package spool

import (
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A recordLog is the log of a spool: records in a sequence of files, the segments.
// It groups records into commits. It begins, reuses and deletes segments, and
// counts how many bytes of each segment are needed. It does not interpret the
// records; its owner does.
//
// Lock order: the owner's lock, then mu. The owner may call the log while it has
// its own lock. The log never calls the owner while it has mu.
type recordLog struct {
	fs          fileSystem
	dir         string // of the segments
	segmentSize int64
	logger      *slog.Logger
	key         key
	owner       recordOwner
	names       *segmentList
	missing     []run  // segments that recovery has not found
	kick        func() // wakes housekeeping
	beforeDrop  func() // called before a segment is deleted
	stats       logCounters
	waiters     sync.Pool // of *waiter

	// Only the committer, the goroutine that has set busy, uses these.
	nextNumber uint32
	syncFailed bool // writeTo has failed to sync, so the segment cannot be trusted
	bufs       [][]byte

	used     atomic.Int64 // bytes of the active segment; the committer sets it
	failures atomic.Int64 // how often the disk made a commit or housekeeping fail

	mu         sync.Mutex // guards all below
	idle       *sync.Cond // busy or preparing became false
	segments   map[uint32]*segment
	active     *segment // the committer alone writes to it
	pending    batch    // the next commit
	reserve    batch    // memory for the batch after pending
	busy       bool     // a goroutine leads a commit
	armed      bool     // the timer is set
	timer      *time.Timer
	broken     error // the error of the last commit
	closed     bool
	compactAge time.Duration

	spare     file  // the next segment
	preparing bool  // a goroutine uses the file spareName
	noSpare   error // why there is no spare; new mail is refused
	reserved  bool  // the reserve exists
	released  error // why it was deleted; new mail is refused until there is one again
}

// A recordOwner interprets the records of a log. The log calls it without locking
// mu, and calls durable and undone from one goroutine at a time.
type recordOwner interface {
	// durable applies records that are on stable storage now. Each has its
	// location in at.
	durable(recs []*record)
	// undone drops new messages and copies that were not written.
	undone(recs []*record)
	// copy copies a record of a segment if the record is needed. It adds the
	// copy to the log and returns it. It returns nil if the record is not
	// needed.
	copy(g *segment, f found, rec []byte) (*record, error)
	// rescue saves the needed records of a segment that cannot be copied
	// because they are damaged.
	rescue(g *segment)
}

func newLog(dir string, segmentSize int64, fsys fileSystem, logger *slog.Logger) *recordLog {
	l := &recordLog{
		fs: fsys, dir: filepath.Join(dir, "log"), segmentSize: segmentSize, logger: logger,
		kick: func() {}, beforeDrop: func() {}, segments: make(map[uint32]*segment), compactAge: compactAge,
	}
	l.stats.messages.Scale = counters.Powers
	l.names = &segmentList{fs: fsys, dir: l.dir, logger: logger}
	l.idle = sync.NewCond(&l.mu)
	l.timer = time.AfterFunc(time.Hour, l.flush)
	l.timer.Stop()
	return l
}

// start makes a segment active after recovery: the last one if it can be continued,
// otherwise a new one. On a full disk it also continues a segment of another size.
func (l *recordLog) start() error {
	l.names.start(l.key, slices.Sorted(maps.Keys(l.segments)))
	l.openSpare()
	last := l.newest()
	if last != nil && last.capacity == l.segmentSize && last.version == version && l.resume() == nil {
		// The header of this record shows that all before it were durable. The
		// record has no effect, because there is no message 0.
		l.gather(newRemoval(0, ended{}))
		return nil
	}
	err := l.rotate(0)
	if errors.Is(err, queue.ErrFull) {
		l.deleteDead() // which may make room
		if err = l.rotate(0); errors.Is(err, queue.ErrFull) {
			l.mu.Lock()
			l.setNoSpare(err)
			l.mu.Unlock()
			if l.resume() == nil || l.releaseReserve() && l.resume() == nil {
				return nil
			}
			err = l.rotateFull(0, err)
		}
	}
	return err
}

// abandon ends the log of a spool that could not be opened. It stops the timer,
// because a later commit could disturb the next Open.
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
	l.armed = true // prevents wake from setting the timer
	l.timer.Stop()
	pending := l.pending
	l.pending = batch{}
	l.mu.Unlock()
	return l.write(&pending)
}

func (l *recordLog) closeFiles() {
	l.names.close()
	for _, g := range l.segments {
		g.file.Close()
	}
	if l.spare != nil {
		l.spare.Close()
	}
}

// mayPut returns an error if the log does not accept new messages now.
func (l *recordLog) mayPut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return queue.ErrClosed
	}
	return l.refusesMail()
}

// pin returns the segment of a needed record, pinned: its file is not reused or
// closed until unpin. It returns nil if the segment does not exist.
func (l *recordLog) pin(at loc) *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.segments[at.segment]
	g.pin()
	return g
}

// takesChanges reports whether the log may have change records now: a segment of
// version 1 may not.
func (l *recordLog) takesChanges() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active != nil && l.active.version >= 2
}

// An account updates the counts of needed records in the segments of a log. It
// locks the log's mu from account to done.
type account struct{ l *recordLog }

func (l *recordLog) account() account {
	l.mu.Lock()
	return account{l}
}

func (a account) done() { a.l.mu.Unlock() }

// retain counts a record as needed.
func (a account) retain(at loc) {
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

// releaseAll counts records as no longer needed.
func (a account) releaseAll(locs []loc) {
	for _, at := range locs {
		a.release(at)
	}
}

// addRemoval counts a removal in the segment in. It is needed as long as the
// segment from, which has the removed message, exists.
func (a account) addRemoval(in, from uint32) {
	if g := a.l.segments[in]; g != nil && a.l.segments[from] != nil {
		g.removals[from]++
	}
}

// moved records that the segment to has a copy of a message in the segment from.
func (a account) moved(to, from uint32) {
	if g := a.l.segments[to]; g != nil {
		g.sources[from] = true
	}
}
