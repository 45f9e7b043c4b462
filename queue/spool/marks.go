package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
	"github.com/bridgehead-mail/bridgehead/queue/internal/marks"
)

// The messages that are being delivered are marked in a file: see package marks. A mark
// is the sequence number of the message.

// markSize is the size of a mark.
const markSize = 8

// Begin implements queue.DeliveryJournal.
func (s *Spool) Begin(id string) {
	if seq, ok := s.index.seqOf(id); ok {
		var mark [markSize]byte
		binary.LittleEndian.PutUint64(mark[:], seq)
		s.marks.Begin(id, mark[:])
	}
}

// End implements queue.DeliveryJournal.
func (s *Spool) End(id string) { s.marks.End(id) }

func (s *Spool) marksFile() string { return filepath.Join(s.dir, "inhand") }

// readMarks adds an interruption to the state of each message that the last process
// has left marked. The new states are durable with the first commit.
func (r *replayer) readMarks() {
	f, err := r.fs.Open(r.marksFile(), read)
	if err != nil {
		return // there is no such file yet
	}
	defer f.Close()
	b := make([]byte, marks.Slots*markSize)
	n, _ := f.ReadAt(b, 0)
	for b = b[:n-n%markSize]; len(b) > 0; b = b[markSize:] {
		if m, ok := r.messages[binary.LittleEndian.Uint64(b)]; ok {
			r.interrupted(m.slot)
		}
	}
}

// interrupted adds an interruption to the state of a message.
func (r *replayer) interrupted(slot index.Slot) {
	x := r.index
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.place(slot)
	m, err := r.read(&p)
	p.done()
	if err != nil {
		return // Claim removes a damaged message
	}
	m.Interrupted++
	r.recovery.Interrupted = append(r.recovery.Interrupted, m.ID)
	state, sum := r.newState(m, x.entries.Schedule(slot))
	state.seq, state.slot = p.data.seq, slot
	x.entries.At(slot).Data.sum = sum
	x.newState(slot, state)
	r.log.gather(state)
}

// openMarks begins with an empty file. Marking is off if the file cannot be mapped.
func (s *Spool) openMarks() {
	s.marks = marks.New(nil, markSize, func() error { return nil })
	if _, real := s.fs.(osFS); !real {
		return
	}
	mem, unmap, err := mapMarks(s.marksFile())
	if err != nil {
		s.logger.Warn("spool: cannot mark messages that are being delivered", "error", err)
		return
	}
	s.marks = marks.New(mem, markSize, unmap)
}

// mapMarks clears or creates the file and maps it into memory.
func mapMarks(name string) (mem []byte, unmap func() error, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	// Write the file instead of extending it, so that every page has a block on
	// disk.
	if _, err := f.WriteAt(make([]byte, marks.Slots*markSize), 0); err != nil {
		return nil, nil, err
	}
	return marks.Map(f, marks.Slots*markSize)
}
