package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// write makes a batch durable. If that fails, it calls retract, so that no record of
// the batch comes back after a crash.
func (l *recordLog) write(b *batch) error {
	err := l.tryWrite(b)
	if err != nil {
		l.failures.Add(1)
		l.retract()
	}
	return err
}

// tryWrite makes a batch durable. If a write to the active segment fails, the log no
// longer trusts that segment and writes the batch to a new one. The reason is that
// a sync may report success after it has failed once, because the kernel has marked
// the pages clean.
func (l *recordLog) tryWrite(b *batch) error {
	if len(b.recs) == 0 && l.broken == nil && l.active != nil {
		return nil // nothing to write, and no need to test the disk
	}
	if b.mail && l.active != nil && l.active.end+b.size > l.segmentSize/4*3 {
		// The last quarter is for dispositions, unless there is a spare.
		if err := l.needSpare(); err != nil && !b.refuse(err, l.active) {
			return err
		}
	}
	if l.active == nil || l.active.suspect || l.active.closed || l.active.end+b.size > l.active.capacity {
		if err := l.rotate(b.size); err != nil && !b.refuse(err, l.active) {
			if err := l.rotateFull(b.size, err); err != nil {
				return err
			}
		}
	}
	err := l.writeTo(l.active, b)
	if errors.Is(diskError(err), queue.ErrFull) && !l.syncFailed {
		err = l.writeFull(b, err)
	}
	if err == nil {
		return nil
	}
	failed := l.active
	l.failures.Add(1)
	l.logger.Error("spool: write failed, trying a new segment", "segment", failed.path, "error", err)
	l.suspect(failed)
	again := l.rotate(b.size)
	if again != nil {
		b.refuse(again, nil)
		again = l.rotateFull(b.size, again)
	}
	if again != nil {
		return fmt.Errorf("%w; then a new segment could not be begun: %w", diskError(err), again)
	}
	if err := l.writeTo(l.active, b); err != nil {
		l.suspect(l.active)
		return diskError(err)
	}
	return nil
}

// writeFull writes the dispositions of a batch that a full disk has refused. If
// necessary it deletes the reserve. full is the error.
func (l *recordLog) writeFull(b *batch, full error) error {
	if b.mail {
		b.refuse(diskError(full), l.active)
		if full = l.writeTo(l.active, b); full == nil {
			return nil
		}
	}
	if l.syncFailed || !l.releaseReserve() {
		return full
	}
	return l.writeTo(l.active, b) // each byte again
}

func (l *recordLog) suspect(g *segment) {
	l.mu.Lock()
	g.suspect = true
	l.mu.Unlock()
}

// refuse takes the messages out of a batch because there is no room for them. The
// dispositions in the batch use the rest of the active segment. refuse reports
// whether they fit.
func (b *batch) refuse(err error, active *segment) bool {
	recs := b.recs
	*b = batch{waiters: b.waiters, refused: b.refused}
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
	return active != nil && !active.suspect && !active.closed && active.end+b.size <= active.capacity
}

// writeTo writes a batch at the end of a segment and syncs it.
func (l *recordLog) writeTo(g *segment, b *batch) error {
	began, messages := time.Now(), 0
	off := g.end
	bufs := l.bufs[:0]
	for _, r := range b.recs {
		if r.kind == kindMessage && r.moved == nil {
			messages++
		}
		r.batch = uint32(g.end)
		r.at = loc{g.number, uint32(off), uint32(r.size())}
		if r.ended != nil {
			r.fillRemoval()
		}
		r.put(r.bufs[0], g.salt)
		bufs = append(bufs, r.bufs...)
		off += r.size()
	}
	err := g.makeRoom(off)
	if err == nil {
		err = g.file.WriteAt(bufs, g.end)
	}
	scanEnd := g.nextScanEnd(off)
	if err == nil && scanEnd > 0 {
		err = g.writeScanEnd(scanEnd)
	}
	l.syncFailed = false
	if err == nil {
		err = g.file.Sync()
		l.syncFailed = err != nil
	}
	clear(bufs)
	l.bufs = bufs[:0]
	if err != nil {
		return err
	}
	l.stats.commits.Add(1)
	l.stats.duration.Observe(int64(time.Since(began)))
	if messages > 0 {
		l.stats.messages.Observe(int64(messages))
	}
	l.stats.records.Add(int64(len(b.recs)))
	l.stats.written.Add(off - g.end)
	g.end = off
	if scanEnd > 0 {
		g.scanEnd = scanEnd
	}
	if half := l.segmentSize / 2; l.used.Swap(off) < half && off >= half {
		l.kick()
	}
	return nil
}

// fillRemoval writes into a removal which segment has the message. If a copy was
// pending when the message ended, only now is it known where the copy is.
func (r *record) fillRemoval() {
	r.ended.from = r.ended.message.segment
	if m := r.ended.moving; m != nil && m.at != (loc{}) {
		r.ended.from = m.at.segment
	}
	meta := r.bufs[0][headerLen:]
	binary.LittleEndian.PutUint64(meta, uint64(r.ended.from))
	r.metaCRC = checksum(meta)
}
