package spool

import (
	"fmt"
	"log/slog"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A Recovery says what Open found.
type Recovery struct {
	Messages   int   // waiting
	Recipients int   // of these messages
	Bytes      int64 // of content
	Segments   int   // files of the log
	// Cut is what a crash left unfinished at the end of the log, in bytes. It
	// was never acknowledged, so this is no fault.
	Cut int64
	// Damaged lists what was acknowledged once and cannot be read any more.
	Damaged []Damage
	// Swept counts files that a crash left without a message.
	Swept int
	// Interrupted lists the messages that were being delivered (queue.DeliveryJournal)
	// when the process died.
	Interrupted []string
}

// Recovery says what Open found.
func (s *Spool) Recovery() Recovery { return s.recovery }

// report logs what was found.
func (r *Recovery) report(log *slog.Logger, dir string) {
	log.Info("spool: recovered", "dir", dir, "messages", r.Messages, "recipients", r.Recipients,
		"bytes", r.Bytes, "segments", r.Segments, "cut", r.Cut,
		"damaged", len(r.Damaged), "swept", r.Swept, "interrupted", len(r.Interrupted))
}

// A replayer reads the log of a spool once, from end to end, and builds the
// index. Only one goroutine knows the spool at that time.
type replayer struct {
	*Spool
	messages map[uint64]replayed // by sequence number
}

// replayed is what recovery knows of a message in addition to its entry.
type replayed struct {
	slot       index.Slot
	recipients uint32
}

// recover reads the log and builds the index.
func (s *Spool) recover() (*replayer, error) {
	numbers, err := s.log.open()
	if err != nil {
		return nil, err
	}
	r := &replayer{s, make(map[uint64]replayed)}
	var buf []byte
	for i, n := range numbers {
		knownEnd := int64(-1)
		if i+1 < len(numbers) {
			knownEnd = s.log.endOf(n, numbers[i+1])
		}
		buf = r.replay(s.log.segments[n], knownEnd, buf)
	}
	if err := r.sweep(); err != nil {
		return nil, diskError(err)
	}
	s.recovery.Segments = len(numbers)
	return r, nil
}

// replay applies a segment's records to the index. buf is memory to reuse.
func (r *replayer) replay(g *segment, knownEnd int64, buf []byte) []byte {
	if int64(cap(buf)) < g.capacity {
		buf = make([]byte, g.capacity)
	}
	buf = buf[:g.capacity]
	if n, err := g.file.ReadAt(buf, 0); n < len(buf) && err != nil {
		r.logger.Error("spool: segment cannot be read completely", "segment", g.path, "error", err)
		readPieces(g.file, buf)
	}
	scan := scanSegment(buf, g.salt, knownEnd)
	g.end = scan.end
	if 0 <= knownEnd && knownEnd <= int64(len(buf)) {
		// Would the segment end there by itself? See retract.
		f, ok := recordAt(buf, knownEnd, g.salt)
		g.suspect = ok && !f.badBody
	}
	r.recovery.Cut += scan.cut
	for _, d := range scan.damaged {
		r.damageIn(g, buf, d)
	}
	for _, f := range scan.found {
		err := r.apply(g, buf, f)
		if err == nil && f.badBody {
			err = errBody // the message stays in the queue, so that its end is reported
		}
		if err != nil {
			r.damageIn(g, buf, gap{f.off, f.size(), err})
		}
	}
	return buf
}

// readPieces reads what can be read; the rest becomes zeros, which are no
// record.
func readPieces(f file, b []byte) {
	const piece = 4 << 10
	for off := 0; off < len(b); off += piece {
		p := b[off:min(off+piece, len(b))]
		if n, err := f.ReadAt(p, int64(off)); n < len(p) && err != nil {
			clear(p)
		}
	}
}

// damageIn sets a stretch of a segment aside and reports it.
func (r *replayer) damageIn(g *segment, b []byte, d gap) {
	saved := r.setAside(g, d.off, b[d.off:d.off+d.size])
	g.keep = g.keep || saved == ""
	r.damage(Damage{Segment: g.path, Offset: d.off, Size: d.size, Err: d.err, Saved: saved})
}

func (r *replayer) damage(d Damage) {
	r.recovery.Damaged = append(r.recovery.Damaged, d)
	r.logger.Error("spool: damage", "segment", d.Segment, "offset", d.Offset, "size", d.Size, "id", d.ID, "saved", d.Saved, "error", d.Err)
}

// apply replays one record.
func (r *replayer) apply(g *segment, buf []byte, f found) error {
	a := r.log.account()
	defer a.done()
	at := loc{g.number, uint32(f.off), uint32(f.size())}
	r.nextSeq.Store(max(r.nextSeq.Load(), f.seq))
	meta := buf[f.off+headerLen:][:f.metaLen]
	switch f.kind {
	case kindMessage:
		return r.applyMessage(a, at, f, meta)
	case kindState:
		return r.applyState(a, at, f, meta)
	case kindRemoval:
		if m, ok := r.messages[f.seq]; ok {
			a.bury(at.segment, r.data(m.slot).message.segment)
			r.bury(a, f.seq, m)
		} else {
			a.bury(at.segment, graveOf(meta)) // buried before: see applyMessage
		}
	}
	return nil
}

// data is what the index has of a message.
func (r *replayer) data(slot index.Slot) *entryData { return &r.index.entries.At(slot).Data }

func (r *replayer) applyState(a account, at loc, f found, meta []byte) error {
	d := decoder{b: meta}
	d.str() // the ID
	st := d.schedule()
	n := d.count()
	if d.err != nil {
		return d.err
	}
	m, ok := r.messages[f.seq]
	if !ok {
		return nil
	}
	data := r.data(m.slot)
	a.release(data.state)
	data.state = at
	data.delayed = !st.due.IsZero()
	a.hold(at)
	r.setSchedule(m.slot, &st)
	r.messages[f.seq] = replayed{m.slot, uint32(n)}
	return nil
}

// bury forgets a message that has ended.
func (r *replayer) bury(a account, seq uint64, m replayed) {
	data := r.data(m.slot)
	a.release(data.message)
	a.release(data.state)
	r.index.entries.Delete(m.slot)
	delete(r.messages, seq)
}

func (r *replayer) applyMessage(a account, at loc, f found, meta []byte) error {
	d := decoder{b: meta}
	hd := d.head()
	st := d.schedule()
	n := d.count()
	if d.err != nil {
		return d.err
	}
	m, moved := r.messages[f.seq]
	if moved {
		data := r.data(m.slot)
		a.moved(at.segment, data.message.segment)
		a.release(data.message)
		a.release(data.state)
	} else {
		var err error
		if m.slot, err = r.newSlot(a, &hd, f.seq); err != nil {
			return err
		}
	}
	r.messages[f.seq] = replayed{m.slot, uint32(n)}
	e := r.index.entries.At(m.slot)
	e.Data = entryData{seq: f.seq, message: at, inFile: hd.inFile()}
	e.Data.delayed = !st.due.IsZero()
	a.hold(at)
	if moved {
		r.setSchedule(m.slot, &st)
		return nil
	}
	e.Size = hd.size
	e.Received = index.Nano(hd.received)
	r.index.entries.Show(m.slot, queue.Schedule{Due: st.due, Hop: st.hop})
	return nil
}

// newSlot makes the entry of a message that is not in the index.
func (r *replayer) newSlot(a account, hd *head, seq uint64) (index.Slot, error) {
	x := &r.index.entries
	if slot, ok := x.Add(hd.id, hd.priority); ok {
		return slot, nil
	}
	// The message was stored after an earlier one with the same ID had ended.
	// The removal of that one comes later, where compaction has copied it.
	old, _ := x.Find(hd.id)
	earlier := r.data(old).seq
	if earlier > seq {
		return 0, fmt.Errorf("spool: a second message with the ID %s", hd.id)
	}
	r.bury(a, earlier, r.messages[earlier])
	slot, _ := x.Add(hd.id, hd.priority)
	return slot, nil
}

func (r *replayer) setSchedule(slot index.Slot, st *state) {
	r.index.entries.Reschedule(slot, queue.Schedule{Due: st.due, Hop: st.hop})
}
