package spool

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Group commit, without a goroutine of its own: whoever finds nobody writing
// leads. The leader takes the batch that has gathered, writes and syncs it
// while the next one gathers, and wakes the others; the first who waits in
// the next batch leads that. A lone writer so never leaves its goroutine, and
// a crowd shares one sync. Dispositions gather without anybody waiting; a
// timer leads them when nobody else has.

// dispositionDelay is how long a disposition waits for a commit to ride on.
// The promise is 100 ms; the rest is for the timer and the disk.
const dispositionDelay = 50 * time.Millisecond

// retryDelay is how long the spool waits after a commit has failed before it
// tries again by itself.
const retryDelay = time.Second

// A record is waiting to be written.
type record struct {
	header
	bufs [][]byte // header, meta, body and padding; the header still to be filled in
	at   loc      // set when it is written
	slot index.Slot

	schedule queue.Schedule // of a new message
	waiter   *waiter        // of a new message: who waits for it
	moved    *origin        // of a message that compaction moves
	ended    *ended         // of a removal
}

// An origin is where a moved message was.
type origin struct{ message, state loc }

// ended is what a removal leaves behind.
type ended struct {
	origin
	moving *record // the copy that was on its way when it ended, if any
	grave  uint32  // the segment with the last copy of the message
	inFile bool
}

// A batch is what one commit writes.
type batch struct {
	recs    []*record
	refused []*record // for want of room, while the rest was written
	waiters []*waiter
	size    int64
	mail    bool // there are messages in it
}

func (b *batch) add(r *record) {
	b.recs = append(b.recs, r)
	b.size += r.size()
	b.mail = b.mail || r.kind == kindMessage
}

// A waiter is somebody who waits for a batch to be durable, or to be asked to
// lead it.
type waiter struct {
	lead chan bool // true: lead; false: done, see err
	err  error
}

var waiters = sync.Pool{New: func() any { return &waiter{lead: make(chan bool, 1)} }}

// commit adds a record, which may be nil, to the batch that gathers, and
// returns when that batch is durable, or its error. It is called with s.mu
// held and returns without.
func (s *Spool) commit(r *record) error {
	w := waiters.Get().(*waiter)
	w.err = nil
	if r != nil {
		r.waiter = w
		s.pending.add(r)
	}
	s.pending.waiters = append(s.pending.waiters, w)
	lead := !s.busy
	if lead {
		s.busy = true
	} else {
		s.mu.Unlock()
		if lead = <-w.lead; lead {
			s.mu.Lock()
		}
	}
	if lead {
		s.lead(w)
	}
	err := w.err
	waiters.Put(w)
	return err
}

// wake sees to it that what gathers is committed even where nobody waits for
// it. s.mu is held.
func (s *Spool) wake() {
	if !s.armed {
		s.armed = true
		s.timer.Reset(dispositionDelay)
	}
}

// flush is the timer's: it leads what nobody else has, and tries again after a
// commit that failed, even if nothing waits (see retract).
func (s *Spool) flush() {
	s.mu.Lock()
	s.armed = false
	switch {
	case s.closed || len(s.pending.recs) == 0 && s.broken == nil:
		s.mu.Unlock()
	case s.busy: // the batch being written is another one
		s.armed = true
		s.timer.Reset(time.Millisecond)
		s.mu.Unlock()
	default:
		s.busy = true
		s.lead(nil)
	}
}

// lead commits the gathered batch. s.mu is held and s.busy set by the caller;
// both are given up. self is the caller's own waiter, not to be woken.
func (s *Spool) lead(self *waiter) {
	if self != nil {
		// Those whom the last commit has woken get a turn: what they bring
		// goes with this one. It doubles the batches of 20 writers.
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	b := s.pending
	s.pending = s.reserve
	s.reserve = batch{}
	s.mu.Unlock()

	err := s.write(&b)

	s.mu.Lock()
	if err == nil {
		s.publish(b.recs)
		s.unpublish(b.refused, nil)
	} else {
		s.unpublish(append(b.recs, b.refused...), err)
	}
	if s.broken = err; err != nil && !s.armed {
		s.armed = true
		s.timer.Reset(retryDelay)
	}
	var next *waiter
	if len(s.pending.waiters) > 0 {
		next = s.pending.waiters[0]
	} else {
		s.busy = false
		s.idle.Broadcast()
	}
	s.mu.Unlock()

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
	s.mu.Lock()
	s.reserve = batch{recs: b.recs[:0], waiters: b.waiters[:0]}
	s.mu.Unlock()
}

// write makes a batch durable, or sees to it as well as it can that nothing of
// it comes back.
func (s *Spool) write(b *batch) error {
	err := s.tryWrite(b)
	if err != nil {
		s.retract()
	}
	return err
}

// tryWrite makes a batch durable. When the active segment fails it, nothing of
// that segment is trusted any more, and a new one gets the batch: a sync that
// failed once may claim success the next time, the pages being marked clean.
func (s *Spool) tryWrite(b *batch) error {
	if len(b.recs) == 0 && s.broken == nil && s.active != nil {
		return nil // nothing to record, and nothing to find out
	}
	var err error
	if b.mail && s.active != nil && s.active.end+b.size > s.segmentSize/4*3 {
		// The rest is for dispositions, unless the next segment is there.
		if err := s.needSpare(); err != nil && !b.refuse(err, s.active) {
			return err
		}
	}
	if s.active == nil || s.active.suspect || s.active.closed || s.active.end+b.size > s.active.capacity {
		if err = s.rotate(b.size); err != nil && !b.refuse(err, s.active) {
			return err
		}
	}
	if err = s.writeTo(s.active, b); err == nil {
		return nil
	}
	failed := s.active
	s.log.Error("spool: write failed, going on with a new segment", "segment", failed.path, "error", err)
	s.mu.Lock()
	failed.suspect = true
	s.mu.Unlock()
	if again := s.rotate(b.size); again != nil {
		return fmt.Errorf("%w; and no new segment: %w", diskError(err), again)
	}
	if err := s.writeTo(s.active, b); err != nil {
		s.mu.Lock()
		s.active.suspect = true
		s.mu.Unlock()
		return diskError(err)
	}
	return nil
}

// refuse takes the messages out of a batch that found no room, so that the
// dispositions use what is left in the active segment. It reports whether
// they can.
func (b *batch) refuse(err error, active *segment) bool {
	if active == nil || active.suspect || active.closed {
		return false
	}
	recs := b.recs
	*b = batch{waiters: b.waiters}
	for _, r := range recs {
		if r.kind != kindMessage {
			b.add(r)
			continue
		}
		b.refused = append(b.refused, r)
		if r.waiter != nil {
			r.waiter.err = err
		}
	}
	return active.end+b.size <= active.capacity
}

// writeTo writes a batch at the segment's end and syncs it.
func (s *Spool) writeTo(g *segment, b *batch) error {
	off := g.end
	bufs := s.bufs[:0]
	for _, r := range b.recs {
		r.batch = uint32(g.end)
		r.at = loc{g.number, uint32(off), uint32(r.size())}
		if r.ended != nil {
			r.fillGrave()
		}
		r.put(r.bufs[0], g.salt)
		bufs = append(bufs, r.bufs...)
		off += r.size()
	}
	err := g.file.WriteAt(bufs, g.end)
	if err == nil {
		err = g.file.Sync()
	}
	clear(bufs)
	s.bufs = bufs[:0]
	if err == nil {
		s.stats.commits.Add(1)
		s.stats.records.Add(int64(len(b.recs)))
		s.stats.written.Add(off - g.end)
		g.end = off
		if half := s.segmentSize / 2; s.used.Swap(off) < half && off >= half {
			s.kick()
		}
	}
	return err
}

// fillGrave writes into a removal which segment has the message; only now is
// it known where a copy that was on its way has come to lie.
func (r *record) fillGrave() {
	r.ended.grave = r.ended.message.segment
	if m := r.ended.moving; m != nil && m.at != (loc{}) {
		r.ended.grave = m.at.segment
	}
	meta := r.bufs[0][headerLen:]
	binary.LittleEndian.PutUint64(meta, uint64(r.ended.grave))
	r.metaCRC = checksum(meta)
}

// rotate makes a new segment the active one, with room for at least size
// bytes of records.
func (s *Spool) rotate(size int64) error {
	size = padded(segmentHeaderLen + size)
	if size > math.MaxUint32 {
		return fmt.Errorf("spool: a batch of %d bytes", size)
	}
	s.mu.Lock()
	for s.preparing {
		s.idle.Wait()
	}
	s.preparing = true
	f := s.spare
	s.spare = nil
	s.mu.Unlock()

	g, err := s.nextSegment(f, size)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.preparing = false
	s.idle.Broadcast()
	if err != nil {
		return diskError(err)
	}
	if s.active != nil {
		s.active.sealed = time.Now()
	}
	s.active = g
	s.used.Store(g.end)
	s.segments[g.number] = g
	s.kick()
	return nil
}

// nextSegment begins a segment with room for at least size bytes, in the
// spare file f where that is large enough.
func (s *Spool) nextSegment(f file, size int64) (*segment, error) {
	if f != nil {
		if have, err := f.Size(); err != nil || have < size {
			f.Close()
			f = nil
		}
	}
	if f == nil {
		var err error
		if f, err = s.newSpare(max(size, s.segmentSize)); err != nil {
			return nil, err
		}
	}
	prev := s.active
	if prev == nil {
		prev = s.newest() // recovered: what was cut off there stays cut off
	}
	g, err := s.begin(f, s.nextNumber, prev)
	s.nextNumber++ // also after an error: the name may be in use on disk
	if err != nil {
		f.Close()
	}
	return g, err
}
