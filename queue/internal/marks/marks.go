package marks

import (
	"runtime/debug"
	"sync"
)

// Slots is how many messages can be marked at a time. Further messages are not marked.
const Slots = 8192

// A Set is the marked messages. It is safe for concurrent use.
type Set struct {
	size  int // of a slot
	unmap func() error

	mu    sync.Mutex // guards all below
	mem   []byte     // nil when marking is off
	free  []uint16
	slots map[string]uint16 // by message ID
}

// New returns a Set without marks. mem has Slots slots of size bytes, all zero. If mem is
// nil, marking is off. Close calls unmap.
func New(mem []byte, size int, unmap func() error) *Set {
	s := &Set{size: size, unmap: unmap, mem: mem, slots: make(map[string]uint16)}
	for i := Slots - 1; i >= 0; i-- {
		s.free = append(s.free, uint16(i))
	}
	return s
}

// write writes a slot, whose rest becomes zero. If the disk fails, the write to the
// mapped memory panics. Then marking is switched off, and the program goes on.
func (s *Set) write(i uint16, record []byte) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			s.mem = nil
		}
	}()
	slot := s.mem[int(i)*s.size:][:s.size]
	clear(slot[copy(slot, record):])
}

// Begin marks a message with a record, which is not zero and not longer than a slot. It
// does nothing if the message is marked already.
func (s *Set) Begin(id string, record []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.free) - 1
	if _, twice := s.slots[id]; twice || s.mem == nil || last < 0 {
		return
	}
	i := s.free[last]
	s.free = s.free[:last]
	s.slots[id] = i
	s.write(i, record)
}

// End removes the mark of a message.
func (s *Set) End(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.slots[id]
	if !ok {
		return
	}
	delete(s.slots, id)
	s.free = append(s.free, i)
	if s.mem != nil {
		s.write(i, nil)
	}
}

// Close removes all marks, because the process ends regularly.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.slots {
		if s.mem != nil {
			s.write(i, nil)
		}
	}
	s.mem = nil
	return s.unmap()
}
