package spool

import (
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A messageIndex knows the spool's messages: which record of the log is the
// newest of each, and its schedule. It adds the records of new states and
// removals to the log; durable and undone tell it what became of them.
//
// Its lock is taken before the log's, see recordLog.
type messageIndex struct {
	log *recordLog

	mu       sync.Mutex // guards all below
	closed   bool
	entries  index.Index[entryData]
	unsynced map[index.Slot]*record // newest states that are not on disk yet
	moving   map[uint64]*record     // copies that are being written, by message
}

// entryData is what the spool keeps of a message in its index.
type entryData struct {
	seq     uint64
	sum     uint64 // hash of the recipients as last recorded; 0 is unknown
	message loc
	state   loc // newer than the message's own; nowhere if there is none
	inFile  bool
	delayed bool // the schedule last recorded has a due time
}

type entry = index.Entry[entryData]

func newMessageIndex(l *recordLog) *messageIndex {
	return &messageIndex{log: l, unsynced: make(map[index.Slot]*record), moving: make(map[uint64]*record)}
}

// close ends the use of the index; it reports whether this was the first call.
func (x *messageIndex) close() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	first := !x.closed
	x.closed = true
	return first
}

// err is the error of an operation on a closed spool.
func (x *messageIndex) err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return queue.ErrClosed
	}
	return nil
}

// len is the number of messages that are durable.
func (x *messageIndex) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.Len()
}

// has reports whether an ID is in use, by a message that is durable or not.
func (x *messageIndex) has(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, found := x.entries.Find(id)
	return found
}

// add enqueues the record of a new message. The message is not seen until the
// record is durable.
func (x *messageIndex) add(r *newMessage, h *head) (*waiter, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	slot, ok := x.entries.Add(h.id, h.priority)
	if !ok {
		return nil, queue.ErrExists
	}
	e := x.entries.At(slot)
	e.Data = entryData{
		seq: r.seq, sum: r.sum, inFile: h.inFile(),
		delayed: !r.schedule.Volatile && !r.schedule.Due.IsZero(),
	}
	e.Size = h.size
	e.Received = index.Nano(h.received)
	r.slot = slot
	w, err := x.log.enqueue(&r.record)
	if err != nil {
		x.entries.Delete(slot)
	}
	return w, err
}

// find returns the slot of a durable message. The caller holds mu.
func (x *messageIndex) find(id string) (index.Slot, error) {
	if x.closed {
		return 0, queue.ErrClosed
	}
	slot, ok := x.entries.Find(id)
	if !ok || x.entries.Hidden(slot) {
		return 0, queue.ErrNotFound
	}
	return slot, nil
}

// leased returns the slot of a message that owner has leased. The caller holds
// mu.
func (x *messageIndex) leased(owner, id string) (index.Slot, error) {
	slot, err := x.find(id)
	if err == nil && !x.entries.LeasedBy(slot, owner) {
		return 0, queue.ErrLeaseLost
	}
	return slot, err
}

// live returns the entry of a message if it is the one with this sequence
// number. The caller holds mu.
func (x *messageIndex) live(id string, seq uint64) (index.Slot, *entryData) {
	slot, ok := x.entries.Find(id)
	if !ok || x.entries.Hidden(slot) {
		return 0, nil
	}
	if data := &x.entries.At(slot).Data; data.seq == seq {
		return slot, data
	}
	return 0, nil
}

// alive reports whether the message with this sequence number exists.
func (x *messageIndex) alive(id string, seq uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, data := x.live(id, seq)
	return data != nil
}

// seqOf returns the sequence number of a message.
func (x *messageIndex) seqOf(id string) (seq uint64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, ok := x.entries.Find(id)
	if ok {
		seq = x.entries.At(slot).Data.seq
	}
	return seq, ok
}

// update gives a message that owner has leased a new schedule, and the state
// in the record r. It writes nothing for a volatile schedule if the recipients
// are as last recorded; sum is their hash.
func (x *messageIndex) update(owner, id string, r *record, sum uint64, sch queue.Schedule) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, err := x.leased(owner, id)
	if err != nil {
		return err
	}
	data := &x.entries.At(slot).Data
	// A volatile schedule is also written over one that has a due time: when
	// it is forgotten, the message must be due at once.
	if !sch.Volatile || data.sum != sum || data.delayed {
		r.seq, r.slot = data.seq, slot
		if err := x.log.add(r); err != nil {
			return err
		}
		x.unsynced[slot] = r
		data.sum = sum
		data.delayed = !sch.Volatile && !sch.Due.IsZero()
	}
	x.entries.Reschedule(slot, sch)
	return nil
}

// remove ends a message that owner has leased.
func (x *messageIndex) remove(owner, id string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, err := x.leased(owner, id)
	if err != nil {
		return err
	}
	if err := x.log.add(x.grave(slot)); err != nil {
		return err
	}
	x.forget(slot)
	return nil
}

// removeDamaged ends a message that cannot be read, if it still is at p. The
// error is that of its reading. It reports whether the message was there.
func (x *messageIndex) removeDamaged(p *place) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.entries.At(p.slot).Data.seq != p.data.seq {
		return false
	}
	x.log.mustAdd(x.grave(p.slot))
	x.forget(p.slot)
	return true
}

// grave makes the record of a message's removal. The caller holds mu.
func (x *messageIndex) grave(slot index.Slot) *record {
	data := x.entries.At(slot).Data
	return newGrave(data.seq, ended{
		origin: origin{data.message, data.state},
		moving: x.moving[data.seq], inFile: data.inFile,
	})
}

// forget deletes an entry. The caller holds mu.
func (x *messageIndex) forget(slot index.Slot) {
	delete(x.unsynced, slot)
	x.entries.Delete(slot)
}

// renew extends leases and returns the IDs of those that owner does not have.
func (x *messageIndex) renew(owner string, until time.Time, ids []string) (lost []string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	for _, id := range ids {
		if slot, err := x.leased(owner, id); err == nil {
			x.entries.Lease(slot, owner, until)
		} else {
			lost = append(lost, id)
		}
	}
	return lost, nil
}

// A place is all that it takes to read a message. It is gathered under the
// lock; the reading itself needs none.
type place struct {
	slot    index.Slot
	id      string
	data    entryData
	segment *segment // of the message
	states  *segment // of its state, where that is a record of its own
	fresh   []byte   // the state itself, where it is not on disk yet
}

// place gathers what it takes to read a message. The caller holds mu, and
// calls done when it has read.
func (x *messageIndex) place(slot index.Slot) place {
	data := x.entries.At(slot).Data
	p := place{slot: slot, id: x.entries.ID(slot), data: data, segment: x.log.pin(data.message)}
	if r := x.unsynced[slot]; r != nil {
		p.fresh = r.bufs[0][headerLen : headerLen+r.metaLen] // it does not change any more
	} else if data.state != (loc{}) {
		p.states = x.log.pin(data.state)
	}
	return p
}

// done ends the use of the place's segments.
func (p *place) done() {
	p.segment.unpin()
	p.states.unpin()
}

// claim leases messages and returns their places.
func (x *messageIndex) claim(c queue.Claim) ([]place, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	slots := x.entries.Claim(c)
	places := make([]place, len(slots))
	for i, slot := range slots {
		places[i] = x.place(slot)
	}
	return places, nil
}

// get returns the place of a message.
func (x *messageIndex) get(id string) (place, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, err := x.find(id)
	if err != nil {
		return place{}, err
	}
	return x.place(slot), nil
}

// current reports whether a message still is at its place.
func (x *messageIndex) current(p *place) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	data := &x.entries.At(p.slot).Data
	return data.seq == p.data.seq && data.message == p.data.message && data.state == p.data.state
}

// in returns the places of the next messages, in the order of their IDs, of
// which a record is in the segment with this number. after is the last ID that
// was looked at, "" at the end.
func (x *messageIndex) in(number uint32, from string) (places []place, after string) {
	const looked = 1024 // at a time, so that the lock is never held long
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, slot := range x.entries.After(from, looked) {
		after = x.entries.ID(slot)
		if d := x.entries.At(slot).Data; d.message.segment == number || d.state.segment == number {
			places = append(places, x.place(slot))
		}
	}
	return places, after
}

// next is when claim finds a message, the zero time for never.
func (x *messageIndex) next(c queue.Claim) (time.Time, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return time.Time{}, queue.ErrClosed
	}
	return x.entries.Next(c), nil
}

// page returns some of the messages that q selects, and Query.After for the
// next page, "" after the last one.
func (x *messageIndex) page(q queue.Query) (page []*queue.Entry, more string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, "", queue.ErrClosed
	}
	page, more = x.entries.Page(q)
	return page, more, nil
}

// hops sums up the messages by next hop.
func (x *messageIndex) hops() ([]queue.HopSum, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	return x.entries.Hops(), nil
}
