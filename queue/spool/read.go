package spool

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// firstRead is how many bytes of a record are read before the length of its meta is
// known. Usually they include the whole meta.
const firstRead = 4 << 10

// readMeta reads and checks a record's header and meta.
func readMeta(g *segment, at loc, k kind, seq uint64) (h header, meta []byte, err error) {
	if g == nil {
		return h, nil, fmt.Errorf("%w: segment %d does not exist", queue.ErrDamaged, at.segment)
	}
	buf := make([]byte, min(firstRead, int64(at.size)))
	if n, err := g.file.ReadAt(buf, int64(at.off)); n < len(buf) {
		return h, nil, short(err)
	}
	h, ok := parseHeader(buf, g.salt)
	if !ok || h.kind != k || h.seq != seq || h.size() != int64(at.size) {
		return h, nil, fmt.Errorf("%w: no record of the message at %s:%d", queue.ErrDamaged, g.path, at.off)
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

// read reads the message at a place.
func (s *Spool) read(p *place) (*queue.Message, error) {
	m, h, hd, _, err := p.read()
	if err != nil {
		return nil, err
	}
	m.Content = s.newStored(p.segment, p.data.message, &h, &hd)
	return m, nil
}

// read reads all of the message except for the content.
func (p *place) read() (m *queue.Message, h header, hd head, st state, err error) {
	h, meta, err := readMeta(p.segment, p.data.message, kindMessage, p.data.seq)
	if err != nil {
		return nil, h, hd, st, err
	}
	newer, changes, err := p.readState()
	if err != nil {
		return nil, h, hd, st, err
	}
	m, hd, st, err = decodeMessage(meta, newer, changes)
	return m, h, hd, st, err
}

// readState returns the meta of the newest state record, nil if there is none, and
// those of the changes after it.
func (p *place) readState() (newer []byte, changes [][]byte, err error) {
	newer = p.fresh
	if newer == nil && p.data.state != (loc{}) {
		if _, newer, err = readMeta(p.states, p.data.state, kindState, p.data.seq); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range p.changes {
		_, meta, err := readMeta(c.segment, c.loc, kindChange, p.data.seq)
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, meta)
	}
	for _, r := range p.freshChanges {
		changes = append(changes, r.meta())
	}
	return newer, changes, nil
}

// decodeMessage decodes a message from the meta of a message record, from that of a
// newer state record, which may be nil, and from those of the changes after it.
func decodeMessage(meta, newer []byte, changes [][]byte) (*queue.Message, head, state, error) {
	d := decoder{b: meta}
	hd := d.head()
	st := d.state()
	m := &queue.Message{ID: hd.id, Received: hd.received}
	m.Options.Priority = hd.priority
	d.envelope(m)
	if newer != nil && d.err == nil {
		d = decoder{b: newer}
		d.str() // the ID
		st = d.state()
	}
	for i := 0; i < len(changes) && d.err == nil && len(d.b) == 0; i++ {
		d = decoder{b: changes[i]}
		d.change(&st)
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
