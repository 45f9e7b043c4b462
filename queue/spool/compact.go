package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A sealed segment of which at most this share is still needed is emptied:
// what is needed moves to the active segment. Each byte that is moved so
// frees three at least, and the log is never written more than 4/3 times, nor
// longer than four times what lives in it and the two segments at its end.
const compactShare = 4 // one in

// compactAge is how long a segment rests before it is looked at: most mail
// leaves in seconds, and then its segment dies by itself.
const compactAge = 10 * time.Second

// moveBatch is how much is moved in one commit, so that nobody's commit
// waits long for it.
const moveBatch = 1 << 20

// compact empties one segment that is worth it, or not to be trusted.
func (s *Spool) compact() {
	s.mu.Lock()
	var g *segment
	for _, c := range s.segments {
		if c == s.active || c.keep {
			continue
		}
		if time.Since(c.sealed) < s.compactAge && !(c.suspect && !c.tried) || !c.suspect && c.needed() > c.capacity/compactShare {
			continue
		}
		if c.needed() > 0 && (g == nil || c.number < g.number) {
			g = c
		}
	}
	blocked := s.broken != nil || s.closed || s.noSpare != nil && g != nil && s.used.Load() > s.segmentSize/2
	if g == nil || blocked {
		s.mu.Unlock()
		return
	}
	g.pin()
	s.mu.Unlock()
	defer g.unpin()
	if err := s.empty(g); err != nil {
		if !errors.Is(err, queue.ErrClosed) {
			s.log.Error("spool: segment cannot be emptied", "segment", g.path, "error", err)
		}
		return
	}
	s.kick()
}

// empty moves all that is needed of a segment.
func (s *Spool) empty(g *segment) error {
	b := make([]byte, g.capacity)
	n, _ := g.file.ReadAt(b, 0)
	clear(b[n:])
	sc := scanSegment(b, g.salt, g.end)
	var size int64
	for _, f := range sc.found {
		rec := b[f.off:][:f.size()]
		at := loc{g.number, uint32(f.off), uint32(f.size())}
		var moved *record
		var err error
		switch f.kind {
		case kindMessage:
			for err = errUpdated; err == errUpdated; {
				moved, err = s.moveMessage(f, at, rec)
			}
		case kindState:
			moved = s.moveState(f, at, rec)
		case kindRemoval:
			moved = s.moveRemoval(g, f, rec)
		}
		if err != nil {
			return err
		}
		if moved == nil {
			continue
		}
		s.stats.moved.Add(moved.size())
		if size += moved.size(); size >= moveBatch {
			if err := s.Sync(context.Background()); err != nil {
				return err
			}
			size = 0
		}
	}
	if err := s.Sync(context.Background()); err != nil {
		return err
	}
	s.mu.Lock()
	g.graves = make(map[uint32]int)
	left := g.live > 0
	g.tried, g.sealed = true, time.Now() // if something is left, the next try is later
	s.mu.Unlock()
	if left {
		s.rescue(g)
	}
	return nil
}

// liveSlot is the slot of a message by its ID if it still is the one with this
// sequence number. s.mu is held.
func (s *Spool) liveSlot(id string, seq uint64) (index.Slot, *entryData) {
	slot, ok := s.index.Find(id)
	if !ok || s.index.Hidden(slot) {
		return 0, nil
	}
	if data := &s.index.At(slot).Data; data.seq == seq {
		return slot, data
	}
	return 0, nil
}

// moveMessage appends a copy of a message that lives at a place, with its
// newest state. A body that does not match its checksum is moved as it is,
// with its checksum, so that it is found out by who reads it.
func (s *Spool) moveMessage(f found, at loc, rec []byte) (*record, error) {
	meta := rec[headerLen:][:f.metaLen]
	d := decoder{b: meta}
	hd := d.head()
	headLen := len(meta) - len(d.b)
	d.state()
	stateEnd := len(meta) - len(d.b)
	if d.err != nil {
		return nil, nil // recovery or Claim sets it aside
	}
	st := meta[headLen:stateEnd]

	s.mu.Lock()
	slot, data := s.liveSlot(hd.id, f.seq)
	if data == nil || data.message != at {
		s.mu.Unlock()
		return nil, nil
	}
	p := s.place(slot)
	s.mu.Unlock()
	newer := p.fresh
	var err error
	if newer == nil && p.data.state != (loc{}) {
		_, newer, err = readMeta(p.states, p.data.state, kindState, f.seq)
	}
	p.done()
	if err != nil {
		return nil, nil // Claim sets it aside
	}
	if newer != nil {
		nd := decoder{b: newer}
		nd.str()
		st = nd.b
	}
	b := make([]byte, headerLen, int64(headerLen)+int64(headLen)+int64(len(st))+int64(len(meta)-stateEnd)+int64(f.bodyLen)+8)
	b = append(b, meta[:headLen]...)
	b = append(b, st...)
	b = append(b, meta[stateEnd:]...)
	r := &record{slot: slot, moved: &origin{message: at, state: p.data.state}}
	r.kind, r.seq, r.bodyLen, r.bodyCRC = kindMessage, f.seq, f.bodyLen, f.bodyCRC
	r.metaLen = uint32(len(b) - headerLen)
	r.metaCRC = checksum(b[headerLen:])
	b = append(b, rec[headerLen+int64(f.metaLen):][:f.bodyLen]...)
	r.bufs = [][]byte{append(b, padding[:r.size()-int64(len(b))]...)}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	_, data = s.liveSlot(hd.id, f.seq)
	if data == nil || data.message != at {
		return nil, nil
	}
	if u := s.unsynced[slot]; data.state != p.data.state || (u == nil) != (p.fresh == nil) || u != nil && &u.bufs[0][headerLen] != &p.fresh[0] {
		return nil, errUpdated
	}
	s.moving[f.seq] = r
	s.pending.add(r)
	return r, nil
}

// errUpdated: the message got a newer state while its copy was made.
var errUpdated = errors.New("spool: updated meanwhile")

// moveState appends a copy of a state that is the newest of its message.
func (s *Spool) moveState(f found, at loc, rec []byte) *record {
	meta := rec[headerLen:][:f.metaLen]
	d := decoder{b: meta}
	id := d.str()
	r := newRecord(kindState, f.seq, append(make([]byte, headerLen, headerLen+len(meta)+8), meta...))
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, data := s.liveSlot(id, f.seq)
	if s.closed || data == nil || data.state != at || s.unsynced[slot] != nil {
		return nil // a newer one is on its way, and this one is released by it
	}
	r.slot = slot
	s.pending.add(r)
	return r
}

// moveRemoval appends a copy of a removal whose message's segment is there.
func (s *Spool) moveRemoval(g *segment, f found, rec []byte) *record {
	at := graveOf(rec[headerLen:][:f.metaLen])
	r := newGrave(f.seq, ended{origin: origin{message: loc{segment: at}}})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || at == g.number || s.segments[at] == nil {
		return nil
	}
	s.pending.add(r)
	return r
}

// graveOf is the segment that a removal's meta names, 0 for none.
func graveOf(meta []byte) uint32 {
	if len(meta) != graveLen-headerLen {
		return 0
	}
	return uint32(binary.LittleEndian.Uint64(meta))
}

// rescue deals with what could not be moved because it could not be read: it
// is set aside.
func (s *Spool) rescue(g *segment) {
	after := ""
	for {
		var places []place
		s.mu.Lock()
		slots := s.index.After(after, 1024)
		for _, slot := range slots {
			after = s.index.ID(slot)
			if d := s.index.At(slot).Data; d.message.segment == g.number || d.state.segment == g.number {
				places = append(places, s.place(slot))
			}
		}
		s.mu.Unlock()
		for i := range places {
			if _, err := s.read(&places[i]); err != nil {
				s.unreadable(&places[i], err)
			}
			places[i].done()
		}
		if len(slots) == 0 {
			return
		}
	}
}
