package spool

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Update implements queue.Store. It writes nothing if the schedule is volatile
// and the recipients have not changed since the last record.
func (s *Spool) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, sum := s.newState(m, sch)
	return s.index.update(owner, m.ID, r, sum, index.AppendRecipients(nil, m.Recipients), sch)
}

// newState returns the state record of a message. sum is the hash of the recipients.
func (s *Spool) newState(m *queue.Message, sch queue.Schedule) (r *record, sum uint64) {
	st := stateOf(m, sch)
	e := encoder(make([]byte, headerLen, headerLen+256))
	e.str(m.ID)
	e.schedule(&st)
	rcpts := len(e)
	e.recipients(st.recipients)
	return newRecord(kindState, 0, e), maphash.Bytes(s.seed, e[rcpts:])
}

// stateRecord returns the state record of the message with this ID.
func stateRecord(id string, st *state) *record {
	e := encoder(make([]byte, headerLen, headerLen+256))
	e.str(id)
	e.state(st)
	return newRecord(kindState, 0, e)
}

// UpdateRecipients implements queue.RecipientUpdater. When the change records of a
// message together have as many recipients as the message, it writes a state record
// with all of them. So to read a message, the spool reads at most twice as many
// recipients as the message has. Each recipient is written at most twice for
// each of its changes.
func (s *Spool) UpdateRecipients(ctx context.Context, owner string, m *queue.Message, changed []int, sch queue.Schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := newChange(m, changed, sch)
	rcpts := make([]index.Recipient, len(changed))
	for k, i := range changed {
		rcpts[k] = index.HashRecipient(m.Recipients[i])
	}
	err := s.index.change(owner, m.ID, r, changed, rcpts, len(m.Recipients), sch)
	if err == errWhole {
		return s.Update(ctx, owner, m, sch)
	}
	return err
}

// Remove implements queue.Store.
func (s *Spool) Remove(ctx context.Context, owner, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.index.remove(owner, id)
}

// newRemoval returns a removal record. It needs one allocation.
func newRemoval(seq uint64, e ended) *record {
	g := &struct {
		record
		ended
		buf [removalLen]byte
		one [1][]byte
	}{ended: e}
	g.one[0] = g.buf[:]
	g.record.kind, g.record.seq, g.record.metaLen = kindRemoval, seq, removalLen-headerLen
	g.record.bufs = g.one[:]
	g.record.ended = &g.ended
	return &g.record
}

// newRecord returns a record without a body. b has room for the header, and then the
// meta.
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
	return s.index.renew(owner, until, ids)
}

// Sync implements queue.Store.
func (s *Spool) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.log.sync()
}
