package queue

import (
	"context"
	"time"
)

// A LimitSharer is a [Cluster] whose nodes share the limits of next hops:
// HopLimits.Concurrency, HopLimits.Rate and Pace.MaxConcurrency apply to all nodes
// together. If a Cluster is no LimitSharer, they apply to each node.
//
// A node asks for its part of a limit ahead of time and in the background. An attempt
// never waits for the Store, but the first attempt at a hop waits until the answer is
// there. See [LimitWithoutContact] for what happens when the Store cannot be reached.
type LimitSharer interface {
	// ShareLimits says what this node needs of limits, and returns what it gets, in
	// the same order. The slots that all nodes have of a limit are never more than
	// the limit, and the Store divides them max-min fair: a node gets less than it
	// wants only if no other node gets more than one more. If there is not one for
	// each, the nodes take turns. The slots of a node that dies or ends are free. A
	// demand with neither Have nor Want nor Begins ends what the node needs of the
	// limit.
	//
	// The Queue calls ShareLimits about once a second with all its demands, and at
	// once when there is a new one; never twice at the same time, and never with
	// more than MaxLimitDemands. After an error, all that the node has is what it said.
	ShareLimits(ctx context.Context, demands []LimitDemand) ([]LimitGrant, error)
	// Members returns how many nodes used the Store when it last had contact with
	// them, at least 1. It does not wait.
	Members() int
}

// MaxLimitDemands is the maximum number of demands in a call of ShareLimits. If a node
// delivers to more next hops than that at the same time, it limits the others as
// [LimitWithoutContact] says.
const MaxLimitDemands = 10_000

// A LimitDemand is what a node needs of the limits of one next hop.
type LimitDemand struct {
	// Key identifies the limits. All nodes use the same key. Its length has no
	// limit, so a Store keeps a hash of it.
	Key string
	// Slots is how many attempts all nodes together may have in progress. Have is
	// how many of these are this node's until the call returns: it has so many
	// attempts in progress, or may begin them. Want is how many it wants.
	Slots, Have, Want int
	// Rate is how many attempts all nodes together may begin per second; 0 is no
	// limit. Begins is how many this node wants to begin soon.
	Rate   float64
	Begins int
}

// A LimitGrant is the answer to a [LimitDemand].
type LimitGrant struct {
	// Slots is how many attempts the node may have in progress from now on. If it
	// has more, it begins none until there are fewer.
	Slots int
	// From and For are a time, from now on, in which only this node may begin
	// attempts, at the rate of the limit. Times that it got earlier remain its own.
	// For is 0 if there is none.
	From, For time.Duration
}

// A CountSharer is a [Cluster] whose nodes can count together, for limits such as those
// of policy.Rates.
type CountSharer interface {
	// AddCounts adds to the counts of this period of each key, and returns, in the
	// same order, what all nodes together have counted in the last Per. The counts
	// are estimated as if those of the previous period had been made at equal
	// intervals. If the answer is lost, the counts may have been added.
	AddCounts(ctx context.Context, counts []SharedCount) ([]SharedCount, error)
	// Members is as in [LimitSharer].
	Members() int
}

// A SharedCount is a number of messages and recipients in a period.
type SharedCount struct {
	Key                  string // as in [LimitDemand]
	Per                  time.Duration
	Messages, Recipients float64
}

// LimitWithoutContact returns the part of a limit that one node applies while the Store
// cannot be reached: the limit divided by the number of nodes that were last known,
// rounded down, and at least 1.
//
// A next hop needs it rarely. A node without contact keeps the slots that it has got,
// and the other nodes take them only when it is dead. It begins no attempts anyway when
// it has been without contact for some time: see [LeaseGuard]. After 10 seconds
// without an answer, the node uses LimitWithoutContact if that is more than it has got.
// policy.Rates uses it whenever it has no answer. So with the at least 1, and while the
// number of nodes changes, all nodes together may exceed the limit.
func LimitWithoutContact(limit, nodes int) int { return max(limit/max(nodes, 1), 1) }
