package spool

import (
	"encoding/binary"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// The messages that are being delivered are marked in a small file that is mapped
// into memory. To set a mark is one write to memory, and the kernel keeps it when
// the process dies. The file is an array of 8-byte slots. A slot has the sequence
// number of a message, or 0 if it is free. The file is never synced: after a power
// failure it has some earlier state.

// markSlots is how many messages can be marked at a time. Further messages are not
// marked.
const markSlots = 8192

// marks are the marks of a spool.
type marks struct {
	mu    sync.Mutex // guards all below
	mem   []byte     // nil when marking is off
	free  []uint16
	slots map[string]uint16 // by message ID
	unmap func() error
}

func newMarks(mem []byte, unmap func() error) *marks {
	m := &marks{mem: mem, slots: make(map[string]uint16), unmap: unmap}
	for i := markSlots - 1; i >= 0; i-- {
		m.free = append(m.free, uint16(i))
	}
	return m
}

// set writes a slot. If the disk fails, the write to the mapped memory panics. Then
// marking is switched off, and the program goes on.
func (m *marks) set(i uint16, seq uint64) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			m.mem = nil
		}
	}()
	binary.LittleEndian.PutUint64(m.mem[int(i)*8:], seq)
}

func (m *marks) begin(id string, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := len(m.free) - 1
	if _, twice := m.slots[id]; twice || m.mem == nil || last < 0 {
		return
	}
	i := m.free[last]
	m.free = m.free[:last]
	m.slots[id] = i
	m.set(i, seq)
}

func (m *marks) end(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.slots[id]
	if !ok {
		return
	}
	delete(m.slots, id)
	m.free = append(m.free, i)
	if m.mem != nil {
		m.set(i, 0)
	}
}

// close clears the marks, because the process ends regularly.
func (m *marks) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.slots {
		if m.mem != nil {
			m.set(i, 0)
		}
	}
	m.mem = nil
	m.unmap()
}

// Begin implements queue.DeliveryJournal.
func (s *Spool) Begin(id string) {
	if seq, ok := s.index.seqOf(id); ok {
		s.marks.begin(id, seq)
	}
}

// End implements queue.DeliveryJournal.
func (s *Spool) End(id string) { s.marks.end(id) }

func (s *Spool) marksFile() string { return filepath.Join(s.dir, "inhand") }

// readMarks adds an interruption to the state of each message that the last process
// has left marked. The new states are durable with the first commit.
func (r *replayer) readMarks() {
	f, err := r.fs.Open(r.marksFile(), read)
	if err != nil {
		return // there is no such file yet
	}
	defer f.Close()
	b := make([]byte, markSlots*8)
	n, _ := f.ReadAt(b, 0)
	for b = b[:n&^7]; len(b) > 0; b = b[8:] {
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
	s.marks = newMarks(nil, func() error { return nil })
	if _, real := s.fs.(osFS); !real {
		return
	}
	mem, unmap, err := mapMarks(s.marksFile())
	if err != nil {
		s.logger.Warn("spool: cannot mark messages that are being delivered", "error", err)
		return
	}
	s.marks = newMarks(mem, unmap)
}
