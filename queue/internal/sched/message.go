package sched

import "time"

// A Message is an active message: leased, in memory, on its way. Its parts are
// delivered independently of each other. The driver sets the exported fields
// before Arrived.
type Message struct {
	ID       string
	Priority int
	Size     int64     // bytes of content that it keeps in memory
	Lease    time.Time // end of the lease
	Suspect  bool      // the process died while it was active
	Alone    bool      // it must be tried alone: see alone.go
	Probe    *Hop      // the hop that it was claimed to probe
	Load     any       // the driver's own

	left      int  // parts that have not ended
	recording bool // it is being recorded, or is to be,
	again     bool // and then once more
	urgent    bool // a recipient was delivered: that is recorded at once
	lost      bool // another owner has the lease
	ordered   bool // an operator wants something else done with it
	closing   bool // its last record is being written: orders come too late
	reclaim   bool // it was claimed again before it was forgotten
	settings  uint // Scheduler.settings when it was routed
	asks      uint // Scheduler.asked then

	next                 *Message // in a list
	leasePrev, leaseNext *Message // by lease end
	leased               bool     // in the list of leases

	// What the recipients wait for that have not ended.
	waiting     int
	where       Key
	mixed       bool
	due, lookAt time.Time
}

// Wait notes that a recipient waits for a hop. due is when it may be tried as
// far as it is concerned itself, again when to look at it although the hop is
// not known to be open. A message whose recipients all wait for the same hop is
// stored under it until the hop opens; one that waits for several hops is
// looked at now and then.
func (m *Message) Wait(hop Key, due, again time.Time) {
	if m.waiting == 0 {
		m.where, m.due, m.lookAt = hop, due, again
	} else {
		m.mixed = m.mixed || m.where != hop
		m.due, m.lookAt = sooner(m.due, due), sooner(m.lookAt, again)
	}
	m.waiting++
}

// WaitUntil notes that a recipient waits whose hop is not known.
func (m *Message) WaitUntil(due time.Time) {
	m.Wait(Key{}, due, due)
	m.mixed = true
}

// LookAgain makes the message due at that time or earlier, for any hop.
func (m *Message) LookAgain(at time.Time) { m.mixed, m.lookAt = true, sooner(m.lookAt, at) }

// Hasten makes the message due at that time or earlier.
func (m *Message) Hasten(at time.Time) { m.due, m.lookAt = sooner(m.due, at), sooner(m.lookAt, at) }

// Waiting is the number of recipients that wait.
func (m *Message) Waiting() int { return m.waiting }

// NoneWaits notes that all recipients have ended.
func (m *Message) NoneWaits() { m.waiting = 0 }

// Due returns when the message is due and the hop that it waits for. The Key is
// zero if it waits for several.
func (m *Message) Due() (time.Time, Key) {
	if m.mixed {
		return m.lookAt, Key{}
	}
	return m.due, m.where
}

// Urgent notes that a recipient was delivered. The driver records it without
// waiting for the other parts.
func (m *Message) Urgent() { m.urgent = true }

// Ordered notes that an operator has requested an operation on the message. No
// new attempt begins.
func (m *Message) Ordered() { m.ordered = true }

// Closing notes that the last record of the message is being written.
func (m *Message) Closing() { m.closing = true }

// SetAside notes that the message is set aside for an operator. An earlier claim
// of it is ignored.
func (m *Message) SetAside() { m.reclaim = false }

// A Part has the recipients of a message that go to one hop in one attempt. The
// driver sets the exported fields.
type Part struct {
	Msg        *Message
	Hop        *Hop
	Recipients int // how many
	Fails      int // failed attempts at the hop, in a row, when this one began
	Load       any // the driver's own

	turned   int   // how often an overcrowded hop turned it away
	requests uint  // the hop's requests when the attempt began
	asks     uint  // Scheduler.asked then
	host     *host // of the attempt
	token    bool  // the attempt holds a token: see turn.go
	next     *Part
}

// Next returns the next part of a Return decision.
func (p *Part) Next() *Part { return p.next }

type partList struct{ first, last *Part }

func (l *partList) push(p *Part) {
	p.next = nil
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
}

func (l *partList) pop() *Part {
	p := l.first
	if p != nil {
		l.first = p.next
		if l.first == nil {
			l.last = nil
		}
		p.next = nil
	}
	return p
}

// messageList is a queue of messages, first in, first out.
type messageList struct {
	first, last *Message
	n           int
}

func (l *messageList) push(m *Message) {
	m.next = nil
	if l.last == nil {
		l.first = m
	} else {
		l.last.next = m
	}
	l.last = m
	l.n++
}

func (l *messageList) pop() *Message {
	m := l.first
	l.first = m.next
	if l.first == nil {
		l.last = nil
	}
	m.next = nil
	l.n--
	return m
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
