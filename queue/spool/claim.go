package spool

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A place is all that reading a message takes, gathered under the lock so
// that the reading itself needs none.
type place struct {
	slot    index.Slot
	id      string
	data    entryData
	segment *segment // of the message
	states  *segment // of its state, where that is a record of its own
	fresh   []byte   // the state itself, where it is not on disk yet
}

// place gathers what reading a message takes. s.mu is held.
func (s *Spool) place(slot index.Slot) place {
	data := s.index.At(slot).Data
	p := place{slot: slot, id: s.index.ID(slot), data: data, segment: s.segments[data.message.segment]}
	p.segment.pin()
	if r := s.unsynced[slot]; r != nil {
		p.fresh = r.bufs[0][headerLen : headerLen+r.metaLen] // never changed once it is there
	} else if data.state != (loc{}) {
		p.states = s.segments[data.state.segment]
		p.states.pin()
	}
	return p
}

// done ends the use of the place's segments.
func (p *place) done() {
	p.segment.unpin()
	p.states.unpin()
}

// Claim implements queue.Store.
func (s *Spool) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	var ms []*queue.Message
	for {
		if err := ctx.Err(); err != nil {
			return ms, err
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return ms, queue.ErrClosed
		}
		slots := s.index.Claim(c)
		places := make([]place, len(slots))
		for i, slot := range slots {
			places[i] = s.place(slot)
		}
		s.mu.Unlock()

		lost := 0
		for i := range places {
			m, err := s.read(&places[i])
			if err != nil {
				s.unreadable(&places[i], err)
				lost++
			} else {
				ms = append(ms, m)
			}
			places[i].done()
		}
		if lost == 0 || c.ID != "" {
			return ms, nil
		}
		c.Max = lost // others instead of those that could not be read
	}
}

// firstRead is how much of a record is read before the length of its meta is
// known; mostly all of it is in that.
const firstRead = 4 << 10

// readMeta reads and checks a record's header and meta.
func readMeta(g *segment, at loc, k kind, seq uint64) (h header, meta []byte, err error) {
	if g == nil {
		return h, nil, fmt.Errorf("%w: its segment %d is not there", queue.ErrDamaged, at.segment)
	}
	buf := make([]byte, min(firstRead, int64(at.size)))
	if n, err := g.file.ReadAt(buf, int64(at.off)); n < len(buf) {
		return h, nil, short(err)
	}
	h, ok := parseHeader(buf, g.salt)
	if !ok || h.kind != k || h.seq != seq || h.size() != int64(at.size) {
		return h, nil, fmt.Errorf("%w: no such record at %s:%d", queue.ErrDamaged, g.path, at.off)
	}
	if int64(h.metaLen) <= int64(len(buf)-headerLen) {
		meta = buf[headerLen : headerLen+h.metaLen]
	} else {
		meta = make([]byte, h.metaLen)
		if n, err := g.file.ReadAt(meta, int64(at.off)+headerLen); n < len(meta) {
			return h, nil, short(err)
		}
	}
	if checksum(meta) != h.metaCRC {
		return h, nil, fmt.Errorf("%w: record at %s:%d does not match its checksum", queue.ErrDamaged, g.path, at.off)
	}
	return h, meta, nil
}

// read makes a message of what lies at its place.
func (s *Spool) read(p *place) (*queue.Message, error) {
	h, meta, err := readMeta(p.segment, p.data.message, kindMessage, p.data.seq)
	if err != nil {
		return nil, err
	}
	newer := p.fresh
	if newer == nil && p.data.state != (loc{}) {
		if _, newer, err = readMeta(p.states, p.data.state, kindState, p.data.seq); err != nil {
			return nil, err
		}
	}
	m, hd, _, err := decodeMessage(meta, newer)
	if err != nil {
		return nil, err
	}
	m.Content = s.newStored(p.segment, p.data.message, &h, &hd)
	return m, nil
}

// decodeMessage makes a message of a message record's meta and the meta of a
// newer state, which may be nil.
func decodeMessage(meta, newer []byte) (*queue.Message, head, state, error) {
	d := decoder{b: meta}
	hd := d.head()
	st := d.state()
	m := &queue.Message{ID: hd.id, Received: hd.received, Priority: hd.priority}
	d.envelope(m)
	if newer != nil && d.err == nil {
		d = decoder{b: newer}
		d.str() // the ID
		st = d.state()
	}
	if d.err == nil && len(d.b) != 0 {
		d.fail()
	}
	if d.err != nil {
		return nil, hd, st, fmt.Errorf("%w: %w", queue.ErrDamaged, d.err)
	}
	m.Recipients, m.Interrupted = st.recipients, st.interrupted
	return m, hd, st, nil
}

// unreadable deals with a message that cannot be read: damage sets it aside,
// trouble with the disk leaves it for later.
func (s *Spool) unreadable(p *place, err error) {
	if !errors.Is(err, queue.ErrDamaged) {
		s.log.Error("spool: message cannot be read now", "id", p.id, "error", err)
		return
	}
	s.mu.Lock()
	e := s.index.At(p.slot)
	current := e.Data.seq == p.data.seq && e.Data.message == p.data.message && e.Data.state == p.data.state
	s.mu.Unlock()
	if !current {
		return // it was moved or has ended meanwhile: nothing is wrong with it
	}
	saved := ""
	if p.segment != nil {
		b := make([]byte, p.data.message.size)
		n, _ := p.segment.file.ReadAt(b, int64(p.data.message.off))
		saved = s.setAside(p.segment, int64(p.data.message.off), b[:n])
	}
	if p.data.inFile { // it would go with the message
		to := filepath.Join(s.damagedDir(), filepath.Base(s.fileName(p.data.seq)))
		if err := s.fs.Rename(s.fileName(p.data.seq), to); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Error("spool: content of a damaged message cannot be set aside", "id", p.id, "error", err)
			return // later, perhaps
		}
	}
	s.log.Error("spool: message is damaged and set aside", "id", p.id, "file", saved, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.index.At(p.slot); e.Data.seq == p.data.seq {
		s.stats.damaged.Add(1)
		s.end(p.slot)
	}
}

// Next implements queue.Store.
func (s *Spool) Next(ctx context.Context, c queue.Claim) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return time.Time{}, queue.ErrClosed
	}
	return s.index.Next(c), ctx.Err()
}

// Get implements queue.Store.
func (s *Spool) Get(ctx context.Context, id string) (*queue.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, queue.ErrClosed
	}
	slot, ok := s.index.Find(id)
	if !ok || s.index.Hidden(slot) {
		s.mu.Unlock()
		return nil, queue.ErrNotFound
	}
	p := s.place(slot)
	s.mu.Unlock()
	defer p.done()
	return s.read(&p)
}

// List implements queue.Store.
func (s *Spool) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for {
			s.mu.Lock()
			err := ctx.Err()
			if s.closed {
				err = queue.ErrClosed
			}
			if err != nil {
				s.mu.Unlock()
				yield(nil, err)
				return
			}
			page, more := s.index.Page(q)
			s.mu.Unlock()
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if more == "" {
				return
			}
			q.After = more
		}
	}
}

// Hops implements queue.Store.
func (s *Spool) Hops(ctx context.Context) ([]queue.HopSum, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	return s.index.Hops(), ctx.Err()
}
