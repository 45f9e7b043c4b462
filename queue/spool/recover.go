package spool

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A Recovery is the result of Open.
type Recovery struct {
	Messages   int   // in the spool
	Recipients int   // of these messages
	Bytes      int64 // of content
	Segments   int   // files of the log
	// Cut is how many bytes Open has cut off the end of the log, because a
	// crash had left them incomplete. They were never acknowledged, so nothing
	// is lost.
	Cut int64
	// Damaged lists the parts of the log, the messages and the suspensions that
	// were acknowledged and cannot be read now.
	Damaged []Damage
	// Swept is the number of files in the directory "files" that did not belong
	// to a message. Open has deleted these files, or moved them to the
	// directory "damaged".
	Swept int
	// Interrupted has the IDs of the messages that were being delivered when
	// the last process died (queue.DeliveryJournal).
	Interrupted []string
}

// Recovery returns what Open has found.
func (s *Spool) Recovery() Recovery { return s.recovery }

// report logs the recovery.
func (r *Recovery) report(log *slog.Logger, dir string) {
	log.Info("spool: recovered", "dir", dir, "messages", r.Messages, "recipients", r.Recipients,
		"bytes", r.Bytes, "segments", r.Segments, "cut", r.Cut,
		"damaged", len(r.Damaged), "swept", r.Swept, "interrupted", len(r.Interrupted))
}

// A replayer reads the whole log of a spool once and builds the index. No other
// goroutine uses the spool at that time.
type replayer struct {
	*Spool
	messages map[uint64]replayed // by sequence number
	ended    map[uint64]bool     // by sequence number: whether there is a removal, of each content file
	addresses
}

// replayed is recovery's data about a message in addition to its entry.
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
	r := &replayer{Spool: s, messages: make(map[uint64]replayed), ended: make(map[uint64]bool)}
	s.index.entries.Load()
	if err := r.listFiles(); err != nil {
		return nil, diskError(err)
	}
	for _, gap := range s.log.missing {
		r.damage(Damage{Segment: filepath.Join(s.log.dir, segmentName(gap.first)), Err: gap.err()})
	}
	for i, n := range numbers {
		knownEnd := int64(-1)
		if i+1 < len(numbers) {
			knownEnd = s.log.endOf(n, numbers[i+1])
		}
		r.replay(s.log.segments[n], knownEnd)
	}
	if err := r.sweep(); err != nil {
		return nil, diskError(err)
	}
	if err := r.readSuspensions(); err != nil {
		return nil, diskError(err)
	}
	s.recovery.Segments = len(numbers)
	s.index.entries.Open()
	return r, nil
}

// replay applies a segment's records to the index.
func (r *replayer) replay(g *segment, knownEnd int64) {
	sc := newScanner(g.file, g.capacity, g.salt)
	sc.record = func(f found) {
		g.lastBatch = int64(f.batch)
		err := r.apply(g, f, sc.meta(f))
		if err == nil && f.badBody {
			err = errBody // the message stays in the queue, which reports its failure
		}
		if err != nil {
			r.damageIn(g, gap{f.off, f.size(), err})
		}
	}
	sc.damage = func(d gap) { r.damageIn(g, d) }
	g.lastBatch = segmentHeaderLen
	sc.scan(knownEnd, g.searchEnd())
	g.end = sc.end
	r.recovery.Cut += sc.cut
	if knownEnd >= 0 {
		// Is there a record that must be ignored? See retract.
		f, ok := sc.recordAt(knownEnd, g.capacity)
		g.suspect = ok && !f.badBody
	}
	if sc.err != nil {
		r.logger.Error("spool: cannot read the whole segment", "segment", g.path, "error", sc.err)
	}
}

// damageIn saves damaged bytes of a segment and reports them.
func (r *replayer) damageIn(g *segment, d gap) {
	g.intact = false
	saved := r.saveDamaged(g, d.off, d.size)
	g.keep = g.keep || saved == ""
	r.damage(Damage{Segment: g.path, Offset: d.off, Size: d.size, Err: d.err, Saved: saved})
}

// damage reports a damage.
func (r *replayer) damage(d Damage) {
	r.recovery.Damaged = append(r.recovery.Damaged, d)
	r.logger.Error("spool: damage", "segment", d.Segment, "offset", d.Offset, "size", d.Size, "id", d.ID, "saved", d.Saved, "error", d.Err)
}

// apply replays one record.
func (r *replayer) apply(g *segment, f found, meta []byte) error {
	a := r.log.account()
	defer a.done()
	at := loc{g.number, uint32(f.off), uint32(f.size())}
	r.nextSeq.Store(max(r.nextSeq.Load(), f.seq))
	switch f.kind {
	case kindMessage:
		return r.applyMessage(a, at, f, meta)
	case kindState:
		return r.applyState(a, at, f, meta)
	case kindChange:
		return r.applyChange(a, at, f, meta)
	case kindRemoval:
		if _, ok := r.ended[f.seq]; ok {
			r.ended[f.seq] = true
		}
		if m, ok := r.messages[f.seq]; ok {
			a.addRemoval(at.segment, r.data(m.slot).message.segment)
			r.forget(a, f.seq, m)
		} else {
			a.addRemoval(at.segment, removedFrom(meta)) // it was forgotten before, see newSlot
		}
	}
	return nil
}

// data returns the index's data about a message.
func (r *replayer) data(slot index.Slot) *entryData { return &r.index.entries.At(slot).Data }

func (r *replayer) applyState(a account, at loc, f found, meta []byte) error {
	d := newTextDecoder(meta)
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
	r.index.replaced(a, m.slot)
	data.state = at
	data.delayed = !st.due.IsZero()
	a.retain(at)
	r.index.entries.SetRecipients(m.slot, r.decode(&d, n))
	r.setSchedule(m.slot, &st)
	r.messages[f.seq] = replayed{m.slot, uint32(n)}
	return nil
}

func (r *replayer) applyChange(a account, at loc, f found, meta []byte) error {
	d := newTextDecoder(meta)
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
	r.index.addChange(m.slot, n).durable = append(r.index.changes[m.slot].durable, at)
	r.data(m.slot).delayed = !st.due.IsZero()
	a.retain(at)
	changed, rcpts := r.decodeChanged(&d, n)
	r.index.entries.ChangeRecipients(m.slot, changed, rcpts)
	r.setSchedule(m.slot, &st)
	return nil
}

// forget deletes a message that has ended.
func (r *replayer) forget(a account, seq uint64, m replayed) {
	data := r.data(m.slot)
	a.release(data.message)
	a.release(data.state)
	r.index.replaced(a, m.slot)
	r.index.entries.Delete(m.slot)
	delete(r.messages, seq)
}

func (r *replayer) applyMessage(a account, at loc, f found, meta []byte) error {
	d := newTextDecoder(meta)
	hd := d.head()
	st := d.schedule()
	n := d.count()
	if d.err != nil {
		return d.err
	}
	rcpts := r.decode(&d, n)
	from := index.HashAddress(d.str())
	m, moved := r.messages[f.seq]
	if moved {
		data := r.data(m.slot)
		a.moved(at.segment, data.message.segment)
		a.release(data.message)
		a.release(data.state)
		r.index.replaced(a, m.slot)
	} else {
		var err error
		if m.slot, err = r.newSlot(a, &hd, from, f.seq); err != nil {
			return err
		}
	}
	r.messages[f.seq] = replayed{m.slot, uint32(n)}
	e := r.index.entries.At(m.slot)
	e.Data = entryData{seq: f.seq, message: at, inFile: hd.inFile()}
	e.Data.delayed = !st.due.IsZero()
	a.retain(at)
	r.index.entries.SetRecipients(m.slot, rcpts)
	if moved {
		r.setSchedule(m.slot, &st)
		return nil
	}
	r.index.entries.Show(m.slot, queue.Schedule{Due: st.due, Wait: st.wait, Hop: st.hop})
	return nil
}

// newSlot adds the entry of a message that is not in the index.
func (r *replayer) newSlot(a account, hd *head, from index.Address, seq uint64) (index.Slot, error) {
	x := &r.index.entries
	if slot, ok := x.Add(hd.id, hd.facts(from)); ok {
		return slot, nil
	}
	// The message was stored after an earlier one with the same ID had ended.
	// Compaction has copied the removal of the earlier one, so it is replayed
	// later.
	old, _ := x.Find(hd.id)
	earlier := r.data(old).seq
	if earlier > seq {
		return 0, fmt.Errorf("spool: more than one message with the ID %s", hd.id)
	}
	r.forget(a, earlier, r.messages[earlier])
	slot, _ := x.Add(hd.id, hd.facts(from))
	return slot, nil
}

func (r *replayer) setSchedule(slot index.Slot, st *state) {
	r.index.entries.Reschedule(slot, queue.Schedule{Due: st.due, Wait: st.wait, Hop: st.hop})
}
