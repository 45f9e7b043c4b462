package index

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A state is a status that the hop of a message does not show. The index has a list
// of the messages of each.
type state uint8

const (
	noState state = iota // the message was set aside, or is not shown
	ready
	retry
	held // waits for a time of day, which may be over
	states
)

// stateOf returns the state of an entry.
func (x *Index[T]) stateOf(e *Entry[T]) state {
	facts := queue.Entry{Attempted: e.attempted, Schedule: queue.Schedule{
		Hop: x.hops.key(e.hop), Due: Time(e.due), Wait: time.Duration(e.wait)}}
	switch facts.Status(time.Time{}) {
	case queue.MessageReady:
		return ready
	case queue.MessageRetry:
		return retry
	case queue.MessageHeld:
		return held
	}
	return noState
}

// setState moves a shown entry to the list of its state.
func (x *Index[T]) setState(s Slot, e *Entry[T]) {
	if x.loading {
		return
	}
	if is := x.stateOf(e); is != e.state {
		h := x.hops.extra(e.hop)
		switch retry {
		case is:
			h.retry++
		case e.state:
			h.retry--
		}
		x.leaveState(s, e)
		if e.state = is; is != noState {
			x.insert(&x.byState[is], s)
		}
	}
}

// leaveState removes an entry from the list of its state.
func (x *Index[T]) leaveState(s Slot, e *Entry[T]) {
	if e.state != noState {
		x.remove(&x.byState[e.state], s)
		e.state = noState
	}
}
