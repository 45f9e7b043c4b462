package spool

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// maxPending bounds the dispositions that wait for a disk that does not take
// them, in bytes.
const maxPending = 64 << 20

// held finds a message that owner has in hand, when dispositions can be
// recorded at all. s.mu is held.
func (s *Spool) held(owner, id string) (index.Slot, error) {
	if s.closed {
		return 0, queue.ErrClosed
	}
	slot, ok := s.index.Find(id)
	if !ok || s.index.Hidden(slot) {
		return 0, queue.ErrNotFound
	}
	if !s.index.HeldBy(slot, owner) {
		return 0, queue.ErrLeaseLost
	}
	return slot, nil
}

// canRecord says whether a disposition may be promised. s.mu is held.
func (s *Spool) canRecord() error {
	if s.broken != nil {
		return s.broken
	}
	if s.pending.size > maxPending {
		return queue.ErrFull
	}
	return nil
}

// Update implements queue.Store. A volatile schedule costs no write where the
// recipients stand as they were last recorded.
func (s *Spool) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, sum := s.newState(m, sch)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, err := s.held(owner, m.ID)
	if err != nil {
		return err
	}
	if data := &s.index.At(slot).Data; !sch.Volatile || data.sum != sum || data.delayed {
		// Also a volatile schedule is written over one that delays: forgotten,
		// it must leave the message due at once.
		if err := s.canRecord(); err != nil {
			return err
		}
		s.update(slot, r, sum)
		data.delayed = !sch.Volatile && !sch.Due.IsZero()
		s.wake()
	}
	s.index.Reschedule(slot, sch)
	return nil
}

// newState makes a record of a message's state; sum is that of the
// recipients.
func (s *Spool) newState(m *queue.Message, sch queue.Schedule) (r *record, sum uint64) {
	st := stateOf(m, sch)
	e := encoder(make([]byte, headerLen, headerLen+256))
	e.str(m.ID)
	e.schedule(&st)
	rcpts := len(e)
	e.recipients(st.recipients)
	return newRecord(kindState, 0, e), maphash.Bytes(s.seed, e[rcpts:])
}

// update adds a message's new state to the batch that gathers. s.mu is held.
func (s *Spool) update(slot index.Slot, r *record, sum uint64) {
	data := &s.index.At(slot).Data
	data.sum = sum
	r.seq, r.slot = data.seq, slot
	s.unsynced[slot] = r
	s.pending.add(r)
}

// Remove implements queue.Store.
func (s *Spool) Remove(ctx context.Context, owner, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, err := s.held(owner, id)
	if err == nil {
		err = s.canRecord()
	}
	if err != nil {
		return err
	}
	s.end(slot)
	return nil
}

// end takes a message out of the index and records its removal. s.mu is held.
func (s *Spool) end(slot index.Slot) {
	data := s.index.At(slot).Data
	r := newGrave(data.seq, ended{
		origin: origin{data.message, data.state},
		moving: s.moving[data.seq], inFile: data.inFile,
	})
	delete(s.unsynced, slot)
	s.index.Delete(slot)
	s.pending.add(r)
	s.wake()
}

// newGrave makes the record of a removal, in one piece of memory.
func newGrave(seq uint64, e ended) *record {
	g := &struct {
		record
		ended
		buf [graveLen]byte
		one [1][]byte
	}{ended: e}
	g.one[0] = g.buf[:]
	g.record.kind, g.record.seq, g.record.metaLen = kindRemoval, seq, graveLen-headerLen
	g.record.bufs = g.one[:]
	g.record.ended = &g.ended
	return &g.record
}

// newRecord makes a record without a body of a buffer that has room for the
// header at its beginning.
func newRecord(k kind, seq uint64, b []byte) *record {
	r := new(record)
	r.kind, r.seq = k, seq
	r.metaLen = uint32(len(b) - headerLen)
	r.metaCRC = checksum(b[headerLen:])
	r.bufs = [][]byte{append(b, padding[:r.size()-int64(len(b))]...)}
	return r
}

// Renew implements queue.Store. It writes nothing.
func (s *Spool) Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	for _, id := range ids {
		if slot, err := s.held(owner, id); err == nil {
			s.index.Lease(slot, owner, until)
		} else {
			lost = append(lost, id)
		}
	}
	return lost, nil
}

// Sync implements queue.Store.
func (s *Spool) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	return s.commit(nil)
}
