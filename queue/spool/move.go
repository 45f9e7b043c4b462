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
	case kindState:
		return x.copyState(f, at, meta), nil
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
	newer := p.fresh
	var err error
	if newer == nil && p.data.state != (loc{}) {
		_, newer, err = readMeta(p.states, p.data.state, kindState, f.seq)
	}
	p.done()
	if err != nil {
		return nil, nil // Claim handles the damage
	}
	st := meta[headLen:stateEnd]
	if newer != nil {
		nd := decoder{b: newer}
		nd.str() // the ID
		st = nd.b
	}
	b := make([]byte, headerLen, int64(headerLen)+int64(headLen)+int64(len(st))+int64(len(meta)-stateEnd)+int64(f.bodyLen)+8)
	b = append(b, meta[:headLen]...)
	b = append(b, st...)
	b = append(b, meta[stateEnd:]...)
	r := &record{slot: p.slot, moved: &origin{message: at, state: p.data.state}}
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
	slot, data := x.live(id, r.seq)
	if data == nil || data.message != p.data.message {
		return nil, nil
	}
	u := x.unsynced[slot]
	if data.state != p.data.state || (u == nil) != (p.fresh == nil) || u != nil && &u.bufs[0][headerLen] != &p.fresh[0] {
		return nil, errUpdated
	}
	x.moving[r.seq] = r
	x.log.gather(r)
	return r, nil
}

// copyState adds a copy of a state record if it is the newest of its message.
func (x *messageIndex) copyState(f found, at loc, meta []byte) *record {
	d := decoder{b: meta}
	id := d.str()
	r := newRecord(kindState, f.seq, append(make([]byte, headerLen, headerLen+len(meta)+8), meta...))
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, data := x.live(id, f.seq)
	if x.closed || data == nil || data.state != at || x.unsynced[slot] != nil {
		return nil // a newer state is pending and will release this one
	}
	r.slot = slot
	x.log.gather(r)
	return r
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
