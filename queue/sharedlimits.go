package queue

import (
	"context"
	"time"
)

// A LimitSharer is a [Cluster] whose nodes share the limits of next hops:
// HopLimits.Concurrency, HopLimits.Rate and Pace.MaxConcurrency (without Pace.PerNode)
// apply to all nodes together. If a Cluster is not a LimitSharer, they apply to each node.
//
// A node asks for its part of a limit ahead of time and in the background. An attempt
// does not wait for the Store, except the first attempt at a hop, which waits for the
// answer. See [LimitWithoutContact] for what happens when the Store cannot be reached.
type LimitSharer interface {
	// ShareLimits tells the Store what this node needs of limits, and returns what it
	// gets, in the same order. The slots of all nodes together are never more than the
	// limit. The Store divides them max-min fair: if a node gets less than it wants,
	// another node gets at most one slot more. If there are fewer slots than nodes,
	// the nodes take turns. The slots of a node that dies or ends are free. With a
	// demand without Have, Want and Begins, the node gives up its part of the limit.
	//
	// The Queue calls ShareLimits about once a second with all its demands, and at
	// once when there is a new one; never twice at the same time, and never with
	// more than MaxLimitDemands. After an error, the node has only what its demands have in Have.
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
	// how many of these this node has until the call returns: this number of attempts
	// are in progress, or may begin. Want is how many it wants.
	Slots, Have, Want int
	// Rate is how many attempts all nodes together may begin per second; 0 is no
	// limit. Begins is how many this node wants to begin soon.
	Rate   float64
	Begins int
}

// A LimitGrant is the answer to a [LimitDemand].
type LimitGrant struct {
	// Slots is how many attempts the node may have in progress from now on. If more
	// are in progress, it begins no attempt until there are fewer.
	Slots int
	// From is the time from now until a period begins in which only this node may
	// begin attempts, at the rate of the limit. For is the length of the period; 0 if
	// there is none. The periods of earlier grants remain valid.
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
// For the limits of next hops, this is rare. A node without contact keeps the slots that
// it has, and the other nodes take them only when it is dead. After some time without
// contact, it begins no attempts at all: see [LeaseGuard]. After 10 seconds without an
// answer, the node uses LimitWithoutContact if that is more than it has. policy.Rates uses
// it whenever it has no answer. Because each node has at least 1, and the number of nodes
// may change, all nodes together may exceed the limit.
func LimitWithoutContact(limit, nodes int) int { return max(limit/max(nodes, 1), 1) }
