package spool

import (
	"encoding/binary"
	"errors"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// copy copies a record if it is needed. It adds the copy to the log and returns
// it. It returns nil if the record is not needed.
func (x *messageIndex) copy(g *segment, f found, rec []byte) (*record, error) {
	at := loc{g.number, uint32(f.off), uint32(f.size())}
	meta := rec[headerLen:][:f.metaLen]
	switch f.kind {
	case kindMessage:
		for {
			r, err := x.copyMessage(f, at, rec)
			if err != errUpdated {
				return r, err
			}
		}
	case kindState, kindChange:
		for {
			r, err := x.copyState(f, at, meta)
			if err != errUpdated {
				return r, err
			}
		}
	case kindRemoval:
		return x.copyRemoval(g, f, meta), nil
	}
	return nil, nil
}

// errUpdated means that the message was updated while its copy was made.
var errUpdated = errors.New("spool: message was updated meanwhile")

// copyMessage adds a copy of the message record at at, with the newest state of the
// message. A body that does not match its checksum is copied with the checksum, so
// that its reader detects the damage.
func (x *messageIndex) copyMessage(f found, at loc, rec []byte) (*record, error) {
	meta := rec[headerLen:][:f.metaLen]
	d := decoder{b: meta}
	hd := d.head()
	headLen := len(meta) - len(d.b)
	d.state()
	stateEnd := len(meta) - len(d.b)
	if d.err != nil {
		return nil, nil // recovery or Claim handles the damage
	}
	p, ok := x.placeAt(hd.id, f.seq, at)
	if !ok {
		return nil, nil
	}
	newer, changes, err := p.readState()
	p.done()
	if err != nil {
		return nil, nil // Claim handles the damage
	}
	st := meta[headLen:stateEnd]
	switch {
	case len(changes) > 0:
		_, _, merged, err := decodeMessage(meta, newer, changes)
		if err != nil {
			return nil, nil // likewise
		}
		var e encoder
		e.state(&merged)
		st = e
	case newer != nil:
		nd := decoder{b: newer}
		nd.str() // the ID
		st = nd.b
	}
	b := make([]byte, headerLen, int64(headerLen)+int64(headLen)+int64(len(st))+int64(len(meta)-stateEnd)+int64(f.bodyLen)+8)
	b = append(b, meta[:headLen]...)
	b = append(b, st...)
	b = append(b, meta[stateEnd:]...)
	r := &record{slot: p.slot, moved: &origin{message: at}}
	r.kind, r.seq, r.bodyLen, r.bodyCRC = kindMessage, f.seq, f.bodyLen, f.bodyCRC
	r.metaLen = uint32(len(b) - headerLen)
	r.metaCRC = checksum(b[headerLen:])
	b = append(b, rec[headerLen+int64(f.metaLen):][:f.bodyLen]...)
	r.bufs = [][]byte{append(b, padding[:r.size()-int64(len(b))]...)}
	return x.addCopy(hd.id, &p, r)
}

// placeAt returns the place of a message if its record is the one at at.
func (x *messageIndex) placeAt(id string, seq uint64, at loc) (place, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, data := x.live(id, seq)
	if data == nil || data.message != at {
		return place{}, false
	}
	return x.place(slot), true
}

// addCopy adds the copy r of a message to the log, unless the message has
// ended or was updated since p was gathered.
func (x *messageIndex) addCopy(id string, p *place, r *record) (*record, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	_, data := x.live(id, r.seq)
	if data == nil || data.message != p.data.message {
		return nil, nil
	}
	if !x.unchanged(p) {
		return nil, errUpdated
	}
	x.moving[r.seq] = r
	x.log.gather(r)
	return r, nil
}

// copyState adds a state record with the newest state of a message to the log, if the
// state or change record at at is needed. A copy of a change alone would be replayed
// after later changes.
func (x *messageIndex) copyState(f found, at loc, meta []byte) (*record, error) {
	d := decoder{b: meta}
	id := d.str()
	p, ok := x.placeOfState(id, f.seq, at)
	if !ok {
		return nil, nil
	}
	var r *record
	if len(p.changes)+len(p.freshChanges) == 0 {
		r = newRecord(kindState, f.seq, append(make([]byte, headerLen, headerLen+len(meta)+8), meta...))
	} else if _, _, _, st, err := p.read(); err == nil {
		r = stateRecord(id, &st)
		r.seq = f.seq
	}
	p.done()
	if r == nil {
		return nil, nil // Claim handles the damage
	}
	return x.addState(id, &p, r)
}

// placeOfState returns the place of a message whose newest state needs the record at
// at. It returns none if a newer state is pending, which will release that record.
func (x *messageIndex) placeOfState(id string, seq uint64, at loc) (place, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, data := x.live(id, seq)
	if data == nil || x.unsynced[slot] != nil || data.state != at && !x.changes[slot].has(at) {
		return place{}, false
	}
	return x.place(slot), true
}

// addState adds a record with the newest state of a message to the log, unless the
// message has ended or was updated since p was gathered.
func (x *messageIndex) addState(id string, p *place, r *record) (*record, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	slot, data := x.live(id, r.seq)
	if data == nil {
		return nil, nil
	}
	if !x.unchanged(p) {
		return nil, errUpdated
	}
	r.slot = slot
	x.newState(slot, r)
	x.log.gather(r)
	return r, nil
}

// copyRemoval adds a copy of a removal if the segment with its message exists.
func (x *messageIndex) copyRemoval(g *segment, f found, meta []byte) *record {
	from := removedFrom(meta)
	r := newRemoval(f.seq, ended{origin: origin{message: loc{segment: from}}})
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || from == g.number || !x.log.exists(from) {
		return nil
	}
	x.log.gather(r)
	return r
}

// removedFrom is the segment that a removal's meta names, 0 for none.
func removedFrom(meta []byte) uint32 {
	if len(meta) != removalLen-headerLen {
		return 0
	}
	return uint32(binary.LittleEndian.Uint64(meta))
}
