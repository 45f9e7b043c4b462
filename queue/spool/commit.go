package spool

import (
	"runtime"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Group commit without a goroutine of its own. A goroutine that finds the log
// idle leads: it takes the batch that has gathered, writes and syncs it while
// the next batch gathers, and wakes the others. The first waiter of the next
// batch leads that one. So a single writer never leaves its goroutine, and
// many writers share one sync. Dispositions gather without a waiter; a timer
// leads their commit if no writer does it first.

// dispositionDelay is how long a disposition waits for a commit. The promise
// is 100 ms; the rest is for the timer and the disk.
const dispositionDelay = 50 * time.Millisecond

// retryDelay is how long the log waits after a failed commit before it tries
// again on its own.
const retryDelay = time.Second

// maxPending bounds the dispositions that wait for a disk that does not take
// them, in bytes.
const maxPending = 64 << 20

// A record waits to be written. Its owner fills it in, except for at and
// waiter.
type record struct {
	header
	bufs [][]byte // header, meta, body and padding; the log fills in the header
	at   loc      // set when it is written
	slot index.Slot

	schedule queue.Schedule // of a new message
	waiter   *waiter        // of a new message: the goroutine that waits for it
	moved    *origin        // of a message that compaction copied
	ended    *ended         // of a removal
}

// An origin is where a copied message was.
type origin struct{ message, state loc }

// ended is what a removal leaves behind.
type ended struct {
	origin
	moving *record // the copy that was being written when the message ended, if any
	grave  uint32  // the segment with the last copy of the message
	inFile bool
}

// A batch is what one commit writes.
type batch struct {
	recs    []*record
	refused []*record // messages for which there was no room; the rest was written
	waiters []*waiter
	size    int64
	mail    bool // it has messages
}

func (b *batch) add(r *record) {
	b.recs = append(b.recs, r)
	b.size += r.size()
	b.mail = b.mail || r.kind == kindMessage
}

// A waiter is a goroutine that waits until a batch is durable, or leads its
// commit.
type waiter struct {
	leads bool      // from the start
	lead  chan bool // true: lead now; false: done, see err
	err   error
}

var waiters = sync.Pool{New: func() any { return &waiter{lead: make(chan bool, 1)} }}

// enqueue adds a record, which may be nil, to the next commit. The caller must
// then call wait, without its own lock.
func (l *recordLog) enqueue(r *record) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, queue.ErrClosed
	}
	if r != nil && l.noSpare != nil {
		return nil, l.noSpare
	}
	w := waiters.Get().(*waiter)
	w.err = nil
	if r != nil {
		r.waiter = w
		l.pending.add(r)
	}
	l.pending.waiters = append(l.pending.waiters, w)
	w.leads = !l.busy
	l.busy = true
	return w, nil
}

// wait returns when the batch of enqueue is durable, or with its error.
func (l *recordLog) wait(w *waiter) error {
	if w.leads || <-w.lead {
		l.lead(w)
	}
	err := w.err
	waiters.Put(w)
	return err
}

// sync returns when all records added so far are durable, or the error of
// their commit.
func (l *recordLog) sync() error {
	w, err := l.enqueue(nil)
	if err != nil {
		return err
	}
	return l.wait(w)
}

// add adds a disposition, which will be durable in at most 100 ms unless the
// disk fails. After an error it is not recorded.
func (l *recordLog) add(r *record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if l.pending.size > maxPending {
		return queue.ErrFull
	}
	l.pending.add(r)
	l.wake()
	return nil
}

// mustAdd adds a disposition whatever the state of the disk.
func (l *recordLog) mustAdd(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.add(r)
	l.wake()
}

// gather adds a record to the next commit, which the caller starts itself.
func (l *recordLog) gather(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.add(r)
}

// wake makes sure that the next commit comes even if no goroutine waits for
// it. The caller holds mu.
func (l *recordLog) wake() {
	if !l.armed {
		l.armed = true
		l.timer.Reset(dispositionDelay)
	}
}

// flush runs when the timer fires. It leads a commit that no other goroutine
// leads, and tries again after one that failed, even if there is nothing to
// write (see retract).
func (l *recordLog) flush() {
	l.mu.Lock()
	l.armed = false
	switch {
	case l.closed || len(l.pending.recs) == 0 && l.broken == nil:
		l.mu.Unlock()
	case l.busy: // with the batch before
		l.armed = true
		l.timer.Reset(time.Millisecond)
		l.mu.Unlock()
	default:
		l.busy = true
		l.mu.Unlock()
		l.lead(nil)
	}
}

// lead commits the batch that has gathered. The caller has set busy. self is
// the caller's own waiter, which is not woken.
func (l *recordLog) lead(self *waiter) {
	if self != nil {
		// The writers that the last commit woke get a turn, so that their
		// records go with this commit. This doubles the batches of 20 writers.
		runtime.Gosched()
	}
	l.mu.Lock()
	b := l.pending
	l.pending = l.reserve
	l.reserve = batch{}
	l.mu.Unlock()

	err := l.write(&b)
	var again []*record
	if err == nil {
		l.owner.durable(b.recs)
		l.owner.undone(b.refused)
	} else {
		again = dispositions(b.recs)
		l.owner.undone(b.recs)
		l.owner.undone(b.refused)
	}
	l.finish(&b, self, again, err)
}

// finish ends a commit: it hands the lead to the first waiter of the next
// batch, and wakes the waiters of this one.
func (l *recordLog) finish(b *batch, self *waiter, again []*record, err error) {
	l.mu.Lock()
	l.requeue(again, err)
	if l.broken = err; err != nil && !l.armed {
		l.armed = true
		l.timer.Reset(retryDelay)
	}
	var next *waiter
	if len(l.pending.waiters) > 0 {
		next = l.pending.waiters[0]
	} else {
		l.busy = false
		l.idle.Broadcast()
	}
	l.mu.Unlock()

	if next != nil {
		next.lead <- true // before the others: the disk should not wait
	}
	for _, w := range b.waiters {
		if w.err == nil {
			w.err = err
		}
		if w != self {
			w.lead <- false
		}
	}
	clear(b.recs)
	clear(b.waiters)
	l.mu.Lock()
	l.reserve = batch{recs: b.recs[:0], waiters: b.waiters[:0]}
	l.mu.Unlock()
}

// dispositions are the records of a batch that were promised without
// condition: they must be written, by a later commit if this one failed.
func dispositions(recs []*record) (again []*record) {
	for _, r := range recs {
		if r.moved == nil && r.kind != kindMessage {
			again = append(again, r)
		}
	}
	return again
}

// requeue puts dispositions that could not be written before those that have
// gathered since. The caller holds mu.
func (l *recordLog) requeue(again []*record, err error) {
	if len(again) == 0 {
		return
	}
	rest := l.pending
	l.pending = batch{waiters: rest.waiters}
	for _, r := range append(again, rest.recs...) {
		l.pending.add(r)
	}
	if l.broken == nil {
		l.logger.Error("spool: dispositions cannot be recorded", "count", len(again), "error", err)
	}
}
