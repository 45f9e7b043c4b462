package spool

import (
	"runtime"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Group commit without a goroutine of its own. A goroutine that finds the log
// idle leads a commit: it takes the pending batch, writes and syncs it while the
// next batch gathers, and wakes the other waiters of its batch. The first waiter
// of the next batch leads the next commit. So a single writer needs no other
// goroutine, and many writers share one sync. Dispositions have no waiter. A timer
// starts their commit unless a writer does so first.

// dispositionDelay is how long a disposition waits for a commit. The documented
// limit is 100 ms; the rest of it is for the timer and the disk.
const dispositionDelay = 50 * time.Millisecond

// retryDelay is the time after a failed commit at which the log tries again, if
// no writer does so first.
const retryDelay = time.Second

// maxPending is the maximum number of bytes of dispositions that wait for a
// disk that fails.
const maxPending = 64 << 20

// A record is written by a commit. The owner fills it in, except for at and
// waiter.
type record struct {
	header
	bufs [][]byte // header, meta, body and padding; the log fills in the header
	at   loc      // set when the record is written
	slot index.Slot

	schedule queue.Schedule // of a new message
	waiter   *waiter        // of a new message: the goroutine that waits for it
	moved    *origin        // of a message that compaction copied
	ended    *ended         // of a removal
}

// meta returns the meta. It does not change while the record is not on disk, except
// that of a removal.
func (r *record) meta() []byte { return r.bufs[0][headerLen : headerLen+r.metaLen] }

// An origin is where the records of a message were before it was copied or
// removed.
type origin struct{ message, state loc }

// ended describes the message that a removal ends.
type ended struct {
	origin
	changes []loc   // the change records of the message
	moving  *record // the copy that was being written when the message ended, or nil
	from    uint32  // the segment with the last copy of the message
	inFile  bool    // the message has a content file
}

// A batch is what one commit writes.
type batch struct {
	recs    []*record
	refused []*record // messages for which there was no room; the others were written
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
	leads bool      // it leads a commit at once
	lead  chan bool // true: lead a commit now; false: done, see err
	err   error
}

// newWaiter returns a waiter of the log's own pool. (In tests, a channel belongs
// to the synctest bubble in which it was made.)
func (l *recordLog) newWaiter() *waiter {
	if w, ok := l.waiters.Get().(*waiter); ok {
		w.err = nil
		return w
	}
	return &waiter{lead: make(chan bool, 1)}
}

// enqueue adds a record, which may be nil, to the next commit. The caller must
// then release its own lock and call wait.
func (l *recordLog) enqueue(r *record) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, queue.ErrClosed
	}
	if err := l.refusesMail(); r != nil && err != nil {
		return nil, err
	}
	w := l.newWaiter()
	if r != nil {
		r.waiter = w
		l.pending.add(r)
	}
	l.pending.waiters = append(l.pending.waiters, w)
	w.leads = !l.busy
	l.busy = true
	return w, nil
}

// wait returns when the batch of enqueue is durable, or returns the error of its
// commit.
func (l *recordLog) wait(w *waiter) error {
	if w.leads || <-w.lead {
		l.lead(w)
	}
	err := w.err
	l.waiters.Put(w)
	return err
}

// sync returns when all records that were added before are durable, or returns
// the error of their commit.
func (l *recordLog) sync() error {
	w, err := l.enqueue(nil)
	if err != nil {
		return err
	}
	return l.wait(w)
}

// add adds a disposition. It is durable in at most 100 ms unless the disk fails.
// If add returns an error, the disposition is not recorded.
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

// mustAdd adds a disposition even if the last commit has failed.
func (l *recordLog) mustAdd(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.add(r)
	l.wake()
}

// gather adds a record to the next commit. The caller starts that commit.
func (l *recordLog) gather(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.add(r)
}

// wake sets the timer, so that a commit follows even if no goroutine waits for
// it. The caller has locked mu.
func (l *recordLog) wake() {
	if !l.armed {
		l.armed = true
		l.timer.Reset(dispositionDelay)
	}
}

// flush runs when the timer fires. It leads a commit if no other goroutine does.
// After a failed commit it does so even if there is nothing to write (see
// retract).
func (l *recordLog) flush() {
	l.mu.Lock()
	l.armed = false
	switch {
	case l.closed || len(l.pending.recs) == 0 && l.broken == nil:
		l.mu.Unlock()
	case l.busy: // another goroutine leads a commit
		l.armed = true
		l.timer.Reset(time.Millisecond)
		l.mu.Unlock()
	default:
		l.busy = true
		l.mu.Unlock()
		l.lead(nil)
	}
}

// lead commits the pending batch. The caller has set busy. self is the waiter of
// the caller and is not woken.
func (l *recordLog) lead(self *waiter) {
	if self != nil {
		// Let the writers run that the last commit woke, so that their next
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

// finish ends a commit. It makes the first waiter of the next batch lead the next
// commit, and wakes the waiters of this batch.
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
		next.lead <- true // first, so that the disk does not idle
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

// dispositions returns the dispositions of a batch whose commit has failed. Update
// and Remove have reported success for them, so a later commit must write them.
func dispositions(recs []*record) (again []*record) {
	for _, r := range recs {
		if r.moved == nil && r.kind != kindMessage {
			again = append(again, r)
		}
	}
	return again
}

// requeue adds dispositions that could not be written to the next batch, before
// the records that have gathered since. The caller has locked mu.
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
		l.logger.Error("spool: cannot record dispositions, they are kept in memory", "count", len(again), "error", err)
	}
}
