package spool

import (
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A messageIndex has the messages of a spool: the location of the newest record of
// each message, and its schedule. It adds the records of new states and removals
// to the log. The log reports the result to durable and undone.
//
// mu is locked before the mu of the log, see recordLog.
type messageIndex struct {
	log *recordLog

	mu       sync.Mutex // guards all below
	closed   bool
	entries  index.Index[entryData]
	unsynced map[index.Slot]*record // newest states that are not on disk yet
	moving   map[uint64]*record     // copies that are being written, by message
	changes  map[index.Slot]*changes
}

// entryData is the spool's data about a message in the index.
type entryData struct {
	seq     uint64
	sum     uint64 // hash of the recipients as last recorded; 0 is unknown
	message loc    // the message record
	state   loc    // the newest state record; the zero loc if there is none
	inFile  bool   // the message has a content file
	delayed bool   // the schedule last recorded has a due time
}

type entry = index.Entry[entryData]

func newMessageIndex(l *recordLog) *messageIndex {
	return &messageIndex{
		log: l, unsynced: make(map[index.Slot]*record), moving: make(map[uint64]*record),
		changes: make(map[index.Slot]*changes),
	}
}

// close ends the use of the index. It reports whether this was the first call.
func (x *messageIndex) close() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	first := !x.closed
	x.closed = true
	return first
}

// err returns queue.ErrClosed if the spool is closed.
func (x *messageIndex) err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return queue.ErrClosed
	}
	return nil
}

// len returns the number of durable messages.
func (x *messageIndex) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.Len()
}

// has reports whether a message has this ID, whether it is durable or not.
func (x *messageIndex) has(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, found := x.entries.Find(id)
	return found
}

// add enqueues the record of a new message. No other method finds the message until
// the record is durable.
func (x *messageIndex) add(r *newMessage, h *head) (*waiter, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	slot, ok := x.entries.Add(h.id, h.facts(r.from))
	if !ok {
		return nil, queue.ErrExists
	}
	e := x.entries.At(slot)
	e.Data = entryData{
		seq: r.seq, sum: r.sum, inFile: h.inFile(),
		delayed: !r.schedule.Volatile && !r.schedule.Due.IsZero(),
	}
	x.entries.SetRecipients(slot, r.recipients)
	r.slot = slot
	w, err := x.log.enqueue(&r.record)
	if err != nil {
		x.entries.Delete(slot)
	}
	return w, err
}

// find returns the slot of a durable message. The caller has locked mu.
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

// leased returns the slot of a message that owner has leased. The caller has
// locked mu.
func (x *messageIndex) leased(owner, id string) (index.Slot, error) {
	slot, err := x.find(id)
	if err == nil && !x.entries.LeasedBy(slot, owner) {
		return 0, queue.ErrLeaseLost
	}
	return slot, err
}

// live returns the slot and data of a message if its sequence number is seq. The
// data is nil otherwise. The caller has locked mu.
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

// update gives a message that owner has leased a new schedule, and the state in the
// record r. sum is the hash of the recipients. If the schedule is volatile and the
// recipients are as last recorded, update writes nothing.
func (x *messageIndex) update(owner, id string, r *record, sum uint64, rcpts []index.Recipient, sch queue.Schedule) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, err := x.leased(owner, id)
	if err != nil {
		return err
	}
	data := &x.entries.At(slot).Data
	// If the last recorded schedule has a due time, a volatile schedule is
	// recorded too: after a restart the message must be due at once.
	if !sch.Volatile || data.sum != sum || data.delayed {
		r.seq, r.slot = data.seq, slot
		if err := x.log.add(r); err != nil {
			return err
		}
		x.newState(slot, r)
		if data.sum != sum {
			x.entries.SetRecipients(slot, rcpts)
		}
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
	if err := x.log.add(x.removal(slot)); err != nil {
		return err
	}
	x.forget(slot)
	return nil
}

// removeDamaged ends a message that cannot be read, if it is still at p. It reports
// whether it was.
func (x *messageIndex) removeDamaged(p *place) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.entries.At(p.slot).Data.seq != p.data.seq {
		return false
	}
	x.log.mustAdd(x.removal(p.slot))
	x.forget(p.slot)
	return true
}

// removal returns the removal record of a message. The caller has locked mu.
func (x *messageIndex) removal(slot index.Slot) *record {
	data := x.entries.At(slot).Data
	return newRemoval(data.seq, ended{
		origin: origin{message: data.message, state: data.state}, changes: x.changes[slot].onDisk(),
		moving: x.moving[data.seq], inFile: data.inFile,
	})
}

// forget deletes an entry. The caller has locked mu.
func (x *messageIndex) forget(slot index.Slot) {
	delete(x.unsynced, slot)
	delete(x.changes, slot)
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

// A place has all data that is needed to read a message from disk. It is made with
// mu locked, and used without.
type place struct {
	slot    index.Slot
	id      string
	data    entryData
	segment *segment // of the message record
	states  *segment // of the newest state record, nil if there is none
	fresh   []byte   // the meta of the newest state if it is not on disk yet

	changes      []changeAt // the changes after that state that are on disk, in order
	freshChanges []*record  // and then those that are not on disk yet
}

// place returns the place of a message. The caller has locked mu, and calls done
// after reading the message.
func (x *messageIndex) place(slot index.Slot) place {
	data := x.entries.At(slot).Data
	p := place{slot: slot, id: x.entries.ID(slot), data: data, segment: x.log.pin(data.message)}
	if r := x.unsynced[slot]; r != nil {
		p.fresh = r.meta()
	} else if data.state != (loc{}) {
		p.states = x.log.pin(data.state)
	}
	if c := x.changes[slot]; c != nil {
		x.placeChanges(&p, c)
	}
	return p
}

// done unpins the segments of a place.
func (p *place) done() {
	p.segment.unpin()
	p.states.unpin()
	for _, c := range p.changes {
		c.segment.unpin()
	}
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

// current reports whether a message is still at its place.
func (x *messageIndex) current(p *place) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	data := &x.entries.At(p.slot).Data
	return data.seq == p.data.seq && x.unchanged(p)
}

// in looks at the next messages after the ID from, in the order of their IDs. It
// returns the places of those that have a record in the segment with this number.
// after is the last ID that it has looked at, "" if there are no more messages.
func (x *messageIndex) in(number uint32, from string) (places []place, after string) {
	const most = 1024 // for each call, so that mu is not locked for long
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, slot := range x.entries.After(from, most) {
		after = x.entries.ID(slot)
		if d := x.entries.At(slot).Data; d.message.segment == number || d.state.segment == number || x.changes[slot].in(number) {
			places = append(places, x.place(slot))
		}
	}
	return places, after
}

// next returns when claim finds a message, the zero time if never.
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

// hops returns the sums over the messages for each next hop.
func (x *messageIndex) hops() ([]queue.HopSum, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, queue.ErrClosed
	}
	return x.entries.Hops(), nil
}
