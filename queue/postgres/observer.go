package postgres

import "time"

// An observer finds out which other nodes are dead. It compares the beats that
// this node reads, and measures time with the monotonic clock of this node only. It
// has no database and no clock of its own.
//
// A node is dead when the observer has seen the same beat of it for deadAfter.
// The time begins when an answer of the database with that beat has arrived, and
// ends when the last request whose answer had it was sent. So that node has sent
// its last beat more than deadAfter ago, and its [Store.MayFinish] fails already.
//
// Time without the database is not a missed beat: if this node itself had no
// contact, all observations begin from the start.
type observer struct {
	beat, deadAfter time.Duration
	contact         time.Time // when the last answer arrived; zero after a failure
	seen            map[int64]sighting
}

// A sighting is a beat of a node, and when the observer saw it first.
type sighting struct {
	beat  int64
	first time.Time
}

// A pulse is the beat of one node, as this node has read it.
type pulse struct {
	id   int64
	name string
	beat int64
}

// maxGap is how long this node may go without an answer before its observations
// begin from the start: two intervals, or less if deadAfter is less than four. A node
// that beats has a beat that is at most one interval old when a gap begins. So it is not
// yet dead after the longest gap, and it has one more interval to beat.
func (o *observer) maxGap() time.Duration { return min(2*o.beat, o.deadAfter-2*o.beat) }

// look takes the pulses of all living nodes, which a request that was sent at sent
// and answered at received has read. It returns the nodes that are dead.
func (o *observer) look(sent, received time.Time, pulses []pulse) (dead []pulse) {
	if o.contact.IsZero() || received.Sub(o.contact) > o.maxGap() {
		o.seen = nil
	}
	o.contact = received
	seen := make(map[int64]sighting, len(pulses))
	for _, p := range pulses {
		s, known := o.seen[p.id]
		if !known || s.beat != p.beat {
			s = sighting{p.beat, received}
		}
		seen[p.id] = s
		if sent.Sub(s.first) >= o.deadAfter {
			dead = append(dead, p)
		}
	}
	o.seen = seen
	return dead
}

// failed forgets all observations, because a request has failed.
func (o *observer) failed() { o.contact, o.seen = time.Time{}, nil }

// beaten reports whether the observer has seen two different beats of the node, the
// one of p and an earlier one. It must be asked before look.
func (o *observer) beaten(p pulse) bool {
	s, known := o.seen[p.id]
	return known && s.beat != p.beat
}
