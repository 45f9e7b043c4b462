package queue

import "context"

// Next hops that are none: messages that wait there are held for an operator
// and never claimed.
const (
	// SuspendedQueue has the messages that an operator suspended.
	SuspendedQueue = "(suspended)"
	// PoisonQueue has those that were in hand when the process died,
	// Limits.Interrupted times.
	PoisonQueue = "(poison)"
	// BadMailQueue has those that could neither be delivered nor reported.
	BadMailQueue = "(bad mail)"
)

var (
	suspendedHop = NextHop{Destination: SuspendedQueue}
	poisonHop    = NextHop{Destination: PoisonQueue}
	badMailHop   = NextHop{Destination: BadMailQueue}
)

// aside says whether a hop is one of those.
func aside(h NextHop) bool { return h == suspendedHop || h == poisonHop || h == badMailHop }

// putAside records a message, of which no part is on its way, as held for an
// operator.
func (q *Queue) putAside(a *active, hop NextHop) error {
	q.mu.Lock()
	a.reclaim = false
	q.mu.Unlock()
	return q.Store.Update(context.Background(), a.owner, a.m, Schedule{Due: farFuture, Hop: hop})
}

// poisonous says that the process died often enough with the message in hand.
func (q *Queue) poisonous(a *active) bool { return a.m.Interrupted >= q.limits.Interrupted }

// suspected says whether the message must wait for its turn among those that
// were in hand when the process died: they are tried one after the other,
// each alone, so that one of them that is to blame does not draw suspicion on
// the others again. Called with mu held.
func (q *Queue) suspected(a *active) bool {
	if a.m.Interrupted == 0 || q.poisonous(a) {
		return false
	}
	if q.suspect != nil {
		q.suspects = append(q.suspects, a)
		return true
	}
	q.suspect = a
	return false
}

// nextSuspect gives the turn on when the message that has it is done with.
// Called with mu held.
func (q *Queue) nextSuspect(a *active) {
	if q.suspect != a {
		return
	}
	q.suspect = nil
	if len(q.suspects) > 0 {
		q.suspect, q.suspects = q.suspects[0], q.suspects[1:]
		q.incoming.push(q.suspect)
		q.kick()
	}
}

// begin and end tell the store, if it wants to know, that something is done
// with the message that might kill the process.
func (q *Queue) begin(a *active) {
	if q.marker != nil {
		q.marker.Begin(a.m.ID)
	}
}

func (q *Queue) end(a *active) {
	if q.marker != nil {
		q.marker.End(a.m.ID)
	}
}
