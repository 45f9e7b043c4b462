package spool

import (
	"errors"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// A change record has the recipients that an update has changed. The newest state of
// a message is that of its newest state or message record, with all later changes
// applied in the order of the log.

// changes are the change records of a message after its newest state.
type changes struct {
	durable    []loc     // on disk
	pending    []*record // later ones, not on disk yet
	recipients int       // how many recipients all of them have
}

// errWhole means that a state record with all recipients must be written.
var errWhole = errors.New("spool: a state record is needed")

// newChange returns the change record of the recipients of m with the indexes changed.
func newChange(m *queue.Message, changed []int, sch queue.Schedule) *record {
	st := stateOf(m, sch)
	e := encoder(make([]byte, headerLen, headerLen+256))
	e.str(m.ID)
	e.schedule(&st)
	e.uint(uint64(len(changed)))
	for _, i := range changed {
		e.uint(uint64(i))
		e.recipient(m.Recipients[i])
	}
	return newRecord(kindChange, 0, e)
}

// change decodes a change and applies it to a state.
func (d *decoder) change(st *state) {
	d.str() // the ID
	rs := st.recipients
	*st = d.schedule()
	st.recipients = rs
	for range d.count() {
		i := d.uint()
		r := new(queue.Recipient)
		d.recipient(r)
		if i >= uint64(len(rs)) {
			d.fail()
			return
		}
		rs[i] = r
	}
}

// change gives a message that owner has leased a new schedule, and new states to those
// of its total recipients that are in the record r: those with the indexes changed, which
// are rcpts. It returns errWhole if r must not be written, because it would be one change
// too many.
func (x *messageIndex) change(owner, id string, r *record, changed []int, rcpts []index.Recipient, total int, sch queue.Schedule) error {
	n := len(changed)
	x.mu.Lock()
	defer x.mu.Unlock()
	slot, err := x.leased(owner, id)
	if err != nil {
		return err
	}
	if c := x.changes[slot]; n >= total || c != nil && c.recipients+n > total || !x.log.takesChanges() {
		return errWhole
	}
	data := &x.entries.At(slot).Data
	r.seq, r.slot = data.seq, slot
	if err := x.log.add(r); err != nil {
		return err
	}
	c := x.addChange(slot, n)
	c.pending = append(c.pending, r)
	x.entries.ChangeRecipients(slot, changed, rcpts)
	data.sum = 0 // unknown
	data.delayed = !sch.Volatile && !sch.Due.IsZero()
	x.entries.Reschedule(slot, sch)
	return nil
}

// addChange counts a change of n recipients. The caller has locked mu.
func (x *messageIndex) addChange(slot index.Slot, n int) *changes {
	c := x.changes[slot]
	if c == nil {
		c = new(changes)
		x.changes[slot] = c
	}
	c.recipients += n
	return c
}

// newState makes r, which was added to the log, the newest state of a message. It has
// all earlier changes. The caller has locked mu.
func (x *messageIndex) newState(slot index.Slot, r *record) {
	x.unsynced[slot] = r
	if c := x.changes[slot]; c != nil {
		c.pending, c.recipients = nil, 0
	}
}

// publishChange adds a durable change record to those of its message.
func (x *messageIndex) publishChange(a account, r *record) {
	if x.entry(r) == nil {
		return
	}
	c := x.addChange(r.slot, 0)
	c.durable = append(c.durable, r.at)
	a.retain(r.at)
	if len(c.pending) > 0 && c.pending[0] == r {
		c.pending[0] = nil
		c.pending = c.pending[1:]
	}
}

// replaced releases the durable changes of a message: a later record has them. The
// caller has locked mu.
func (x *messageIndex) replaced(a account, slot index.Slot) {
	c := x.changes[slot]
	if c == nil {
		return
	}
	a.releaseAll(c.durable)
	c.durable = nil
	if len(c.pending) == 0 {
		delete(x.changes, slot)
	}
}

// onDisk returns the durable changes.
func (c *changes) onDisk() []loc {
	if c == nil {
		return nil
	}
	return c.durable
}

// has reports whether a durable change is at at.
func (c *changes) has(at loc) bool { return slices.Contains(c.onDisk(), at) }

// in reports whether a durable change is in the segment with this number.
func (c *changes) in(number uint32) bool {
	return slices.ContainsFunc(c.onDisk(), func(at loc) bool { return at.segment == number })
}

// A changeAt is a durable change record with its segment, which is pinned.
type changeAt struct {
	loc
	segment *segment
}

// placeChanges adds the changes of a message to its place. The caller has locked mu.
func (x *messageIndex) placeChanges(p *place, c *changes) {
	if p.fresh == nil { // otherwise the durable ones are older than the newest state
		for _, at := range c.durable {
			p.changes = append(p.changes, changeAt{at, x.log.pin(at)})
		}
	}
	p.freshChanges = slices.Clone(c.pending)
}

// unchanged reports whether the state of a message is as it was when its place was
// made. The caller has locked mu.
func (x *messageIndex) unchanged(p *place) bool {
	now := place{slot: p.slot}
	if r := x.unsynced[p.slot]; r != nil {
		now.fresh = r.meta()
	}
	data := x.entries.At(p.slot).Data
	if data.message != p.data.message || data.state != p.data.state || (now.fresh == nil) != (p.fresh == nil) ||
		p.fresh != nil && &now.fresh[0] != &p.fresh[0] {
		return false
	}
	c := x.changes[p.slot]
	if c == nil {
		return len(p.changes)+len(p.freshChanges) == 0
	}
	// Changes are only added to a state, so equal numbers mean equal changes.
	return (p.fresh != nil || len(c.durable) == len(p.changes)) && slices.Equal(c.pending, p.freshChanges)
}
