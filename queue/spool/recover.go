package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A Recovery says what Open found.
type Recovery struct {
	Messages   int   // waiting
	Recipients int   // of these messages
	Bytes      int64 // of content
	Segments   int   // files of the log
	// Cut is what a crash left unfinished at the end of the log, in bytes: it
	// had never been acknowledged. That is no fault.
	Cut int64
	// Damaged lists what was acknowledged once and cannot be read any more.
	Damaged []Damage
	// Swept counts files that a crash left without a message.
	Swept int
	// Interrupted lists the messages that were in hand (queue.Marker) when
	// the process died.
	Interrupted []string
}

// A Damage is a stretch of the log, or a message, that cannot be read.
type Damage struct {
	Segment string // path of the segment
	Offset  int64
	Size    int64
	ID      string // of the message, where it is known
	Saved   string // the file that the bytes were copied to, "" if they cannot be read
	Err     error  // what is wrong
}

// Recovery says what Open found.
func (s *Spool) Recovery() Recovery { return s.recovery }

// recover reads the log and builds the index.
func (s *Spool) recover() error {
	s.token = rand.Text()[:8]
	numbers, err := s.listLog()
	if err != nil {
		return diskError(err)
	}
	if err := s.openSegments(numbers); err != nil {
		return err
	}
	if err := s.findKey(numbers); err != nil {
		return err
	}
	s.replayed = make(map[uint64]replayed)
	var buf []byte
	for i, n := range numbers {
		g := s.segments[n]
		knownEnd := int64(-1)
		if i+1 < len(numbers) {
			knownEnd = s.endOf(n, numbers[i+1])
		}
		buf = s.replay(g, knownEnd, buf)
	}
	if err := s.sweep(); err != nil {
		return diskError(err)
	}
	s.recovery.Segments = len(numbers)
	return nil
}

// report tells the logger what was found.
func (r *Recovery) report(log *slog.Logger, dir string) {
	log.Info("spool: recovered", "dir", dir, "messages", r.Messages, "recipients", r.Recipients,
		"bytes", r.Bytes, "segments", r.Segments, "cut", r.Cut,
		"damaged", len(r.Damaged), "swept", r.Swept, "interrupted", len(r.Interrupted))
}

// listLog is the numbers of the segments, ascending.
func (s *Spool) listLog() ([]uint32, error) {
	names, err := s.fs.ReadDir(s.logDir())
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, d := range names {
		if n, ok := segmentNumber(d.Name()); ok {
			numbers = append(numbers, n)
		} else if d.Name() == spareName {
			if err := s.fs.Remove(filepath.Join(s.logDir(), spareName)); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (s *Spool) openSegments(numbers []uint32) error {
	s.nextNumber = 1
	for _, n := range numbers {
		path := filepath.Join(s.logDir(), segmentName(n))
		f, err := s.fs.Open(path, read)
		if err != nil {
			return diskError(err)
		}
		size, err := f.Size()
		if err != nil {
			f.Close()
			return diskError(err)
		}
		s.segments[n] = s.newSegment(n, path, f, size)
		s.nextNumber = n + 1
	}
	return nil
}

// segmentHeader reads a segment's header.
func (g *segment) header() (h segmentHeader, ok bool) {
	b := make([]byte, segmentHeaderLen)
	if k, _ := g.file.ReadAt(b, 0); k < len(b) {
		return h, false
	}
	return parseSegmentHeader(b)
}

// endOf is where segment n ends by what its successor says, -1 if that says
// nothing about it.
func (s *Spool) endOf(n, next uint32) int64 {
	if h, ok := s.segments[next].header(); ok && h.prev == uint64(n) {
		return h.prevEnd
	}
	return -1
}

// findKey takes the spool's key from the segments, each of which has it, or
// from the file that has it too, or makes one for a new spool. With another
// key or number than its own a segment would look empty, and be deleted: one
// that was copied from elsewhere, or renamed, is the operator's to take away.
func (s *Spool) findKey(numbers []uint32) error {
	found := false
	for _, n := range numbers {
		if h, ok := s.segments[n].header(); ok {
			s.segments[n].prev = uint32(h.prev)
			if h.version > version {
				return fmt.Errorf("spool: %s has format version %d, this program knows %d", s.segments[n].path, h.version, version)
			}
			if h.number != uint64(n) {
				return fmt.Errorf("spool: %s is segment %d by its header", s.segments[n].path, h.number)
			}
			if found && h.key != s.key {
				return fmt.Errorf("spool: %s belongs to another spool than the segments before it", s.segments[n].path)
			}
			s.key, found = h.key, true
		}
	}
	var err error
	if !found {
		if found, err = s.readKey(); err == nil && !found {
			err = s.makeKey(numbers)
		}
	}
	for n, g := range s.segments {
		g.salt = s.key.salt(n)
	}
	return err
}

func (s *Spool) keyFile() string { return filepath.Join(s.dir, "key") }

func (s *Spool) readKey() (found bool, err error) {
	f, err := s.fs.Open(s.keyFile(), read)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, diskError(err)
	}
	defer f.Close()
	n, _ := f.ReadAt(s.key[:], 0)
	return n == len(s.key), nil
}

// makeKey begins a new spool. The key is durable before it is used.
func (s *Spool) makeKey(numbers []uint32) error {
	if len(numbers) > 0 {
		return fmt.Errorf("spool: neither a segment's header nor %s can be read", s.keyFile())
	}
	rand.Read(s.key[:])
	s.fs.Remove(s.keyFile()) // one that was cut short
	f, err := s.fs.Open(s.keyFile(), create)
	if err != nil {
		return diskError(err)
	}
	err = errors.Join(f.WriteAt([][]byte{s.key[:]}, 0), f.Sync(), f.Close(), s.fs.SyncDir(s.dir))
	// The directory may be new, and those above it. What is not ours to read
	// is not ours to sync, and was there before.
	for dir := s.dir; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		s.fs.SyncDir(filepath.Dir(dir))
	}
	return diskError(err)
}

// replay applies a segment's records to the index. buf is memory for it, to
// be used again.
func (s *Spool) replay(g *segment, knownEnd int64, buf []byte) []byte {
	if int64(cap(buf)) < g.capacity {
		buf = make([]byte, g.capacity)
	}
	buf = buf[:g.capacity]
	if n, err := g.file.ReadAt(buf, 0); n < len(buf) && err != nil {
		s.log.Error("spool: segment cannot be read whole", "segment", g.path, "error", err)
		readPieces(g.file, buf)
	}
	scan := scanSegment(buf, g.salt, knownEnd)
	g.end = scan.end
	if 0 <= knownEnd && knownEnd <= int64(len(buf)) {
		// Would the segment end there by itself? See retract.
		f, ok := recordAt(buf, knownEnd, g.salt)
		g.suspect = ok && !f.badBody
	}
	s.recovery.Cut += scan.cut
	for _, d := range scan.damaged {
		s.damageIn(g, buf, d)
	}
	for _, f := range scan.found {
		err := s.apply(g, buf, f)
		if err == nil && f.badBody {
			err = errBody // it stays in the queue, so that its end is reported
		}
		if err != nil {
			s.damageIn(g, buf, gap{f.off, f.size(), err})
		}
	}
	return buf
}

// readPieces reads what can be read; the rest is zeros, and so no record.
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
func (s *Spool) damageIn(g *segment, b []byte, d gap) {
	saved := s.setAside(g, d.off, b[d.off:d.off+d.size])
	g.keep = g.keep || saved == ""
	s.damage(Damage{Segment: g.path, Offset: d.off, Size: d.size, Err: d.err, Saved: saved})
}

func (s *Spool) damage(d Damage) {
	s.recovery.Damaged = append(s.recovery.Damaged, d)
	s.log.Error("spool: damage", "segment", d.Segment, "offset", d.Offset, "size", d.Size, "id", d.ID, "saved", d.Saved, "error", d.Err)
}

// setAside copies a stretch of a segment into the directory damaged and
// returns the file's name, "" if that cannot be done.
func (s *Spool) setAside(g *segment, off int64, b []byte) string {
	name := filepath.Join(s.damagedDir(), fmt.Sprintf("%010d-%d-%d", g.number, off, len(b)))
	s.fs.Remove(name) // one of an earlier recovery
	f, err := s.fs.Open(name, create)
	if err == nil {
		err = errors.Join(f.WriteAt([][]byte{b}, 0), f.Sync(), f.Close(), s.fs.SyncDir(s.damagedDir()))
	}
	if err != nil {
		s.log.Error("spool: damaged bytes cannot be set aside", "file", name, "error", err)
		return ""
	}
	return name
}

// apply replays one record.
func (s *Spool) apply(g *segment, buf []byte, f found) error {
	at := loc{g.number, uint32(f.off), uint32(f.size())}
	s.nextSeq.Store(max(s.nextSeq.Load(), f.seq))
	meta := buf[f.off+headerLen:][:f.metaLen]
	switch f.kind {
	case kindMessage:
		return s.applyMessage(g, at, f, meta)
	case kindState:
		d := decoder{b: meta}
		d.str() // the ID
		st := d.schedule()
		n := d.count()
		if d.err != nil {
			return d.err
		}
		if r, ok := s.replayed[f.seq]; ok {
			data := &s.index.At(r.slot).Data
			s.release(data.state)
			data.state = at
			data.delayed = !st.due.IsZero()
			g.live += int64(at.size)
			s.setSchedule(r.slot, &st)
			s.replayed[f.seq] = replayed{r.slot, uint32(n)}
		}
	case kindRemoval:
		if r, ok := s.replayed[f.seq]; ok {
			g.graves[s.index.At(r.slot).Data.message.segment]++
			s.bury(f.seq, r)
		} else if n := graveOf(meta); s.segments[n] != nil {
			g.graves[n]++ // buried before: see applyMessage
		}
	}
	return nil
}

// bury forgets a message that has ended.
func (s *Spool) bury(seq uint64, r replayed) {
	data := &s.index.At(r.slot).Data
	s.release(data.message)
	s.release(data.state)
	s.index.Delete(r.slot)
	delete(s.replayed, seq)
}

// replayed is what recovery knows of a message beside its index entry.
type replayed struct {
	slot       index.Slot
	recipients uint32
}

func (s *Spool) applyMessage(g *segment, at loc, f found, meta []byte) error {
	d := decoder{b: meta}
	hd := d.head()
	st := d.schedule()
	n := d.count()
	if d.err != nil {
		return d.err
	}
	r, moved := s.replayed[f.seq]
	if moved {
		data := &s.index.At(r.slot).Data
		g.sources[data.message.segment] = true
		s.release(data.message)
		s.release(data.state)
	} else {
		var ok bool
		if r.slot, ok = s.index.Add(hd.id, hd.priority); !ok {
			// It was stored when the one before had ended. That one's removal
			// comes later, where compaction has moved it.
			old, _ := s.index.Find(hd.id)
			seq := s.index.At(old).Data.seq
			if seq > f.seq {
				return fmt.Errorf("spool: a second message with the ID %s", hd.id)
			}
			s.bury(seq, s.replayed[seq])
			r.slot, _ = s.index.Add(hd.id, hd.priority)
		}
	}
	s.replayed[f.seq] = replayed{r.slot, uint32(n)}
	e := s.index.At(r.slot)
	e.Data = entryData{seq: f.seq, message: at, inFile: hd.inFile()}
	e.Data.delayed = !st.due.IsZero()
	g.live += int64(at.size)
	if moved {
		s.setSchedule(r.slot, &st)
		return nil
	}
	e.Size = hd.size
	e.Received = index.Nano(hd.received)
	s.index.Show(r.slot, queue.Schedule{Due: st.due, Hop: st.hop})
	return nil
}

func (s *Spool) setSchedule(slot index.Slot, st *state) {
	s.index.Reschedule(slot, queue.Schedule{Due: st.due, Hop: st.hop})
}
