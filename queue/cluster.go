package queue

import (
	"context"
	"errors"
	"time"
)

// A Cluster is a Store that the queues of several nodes share. A node is one process
// with one Queue. Each message is leased by one node at a time. If a node dies, the
// others take its messages over.
//
// Without a Cluster, the Queue assumes that it is the only one that uses the Store.
type Cluster interface {
	LeaseGuard

	// Notify sends n to the other nodes. It does not wait, and it may merge notices
	// or lose them: a notice only tells the other nodes to look now instead of at
	// their next look, which is at most a few seconds later.
	Notify(n Notice)
	// Notices returns the channel of the notices of other nodes and of the Store
	// itself. It is always the same channel. It is closed when the Store is closed.
	Notices() <-chan Notice

	// Nodes returns the nodes that the Store knows, this one included, in the order
	// of their names. Each name is there once, with its newest process.
	Nodes(ctx context.Context) ([]Node, error)
	// Drain starts or ends the draining of a node. A draining node delivers
	// nothing and gives its messages to the other nodes. It still accepts mail,
	// which the others deliver. The setting belongs to the name of the node, and
	// survives its restarts. Drain returns ErrNoNode if there is no such node.
	Drain(ctx context.Context, d Draining) error
}

// A LeaseGuard is a Store whose leases can end before their time, for example
// because the node has lost its contact with the others. Both methods are called
// for each delivery, so they must be cheap and must not wait. They return nil or
// the reason, for which errors.Is finds ErrLeaseLost if another node has the
// message or may have it.
type LeaseGuard interface {
	// MayBegin reports whether owner may begin to deliver the message. Any error
	// other than ErrLeaseLost means that no delivery may begin now.
	MayBegin(owner, id string) error
	// MayFinish reports whether owner still has the lease. The Queue asks at the
	// last moment before a delivery becomes final: see [MayFinish].
	MayFinish(owner, id string) error
}

// A Notice tells the other nodes of a [Cluster] what has changed.
type Notice struct {
	Kind NoticeKind
	// Hops are the next hops that a NoticeRetry is about.
	Hops []NextHop
}

// NoticeKind is the kind of a [Notice].
type NoticeKind uint8

const (
	// NoticeMail: there may be new mail to claim. A Cluster also sends it about
	// once a second, so that mail is found if notices are lost.
	NoticeMail NoticeKind = iota + 1
	// NoticeRetry: an operation has retried the mail for Hops.
	NoticeRetry
	// NoticeSuspensions: the suspensions have changed.
	NoticeSuspensions
	// NoticeDrain: this node must drain. NoticeUndrain: it must deliver again.
	NoticeDrain
	NoticeUndrain
	// NoticeLost: all leases of this node are lost, because the others have
	// considered it dead.
	NoticeLost
)

// A Node describes a node of a [Cluster].
type Node struct {
	Name  string
	State NodeState
	This  bool // it is this node
	// Started is when the process began, and LastBeat when the node reported last
	// that it is alive, by the clock of the Store. Silent is how long ago LastBeat
	// was by the same clock, which may differ from that of this node.
	Started, LastBeat time.Time
	Silent            time.Duration
	// Leased is how many messages the node has leased.
	Leased int
	// Draining has who drains the node, and why. It is zero if the node does not
	// drain.
	Draining Draining
	// Info has what the node says about itself, for example its host name and its
	// version.
	Info map[string]string
}

// A Draining says which node drains, and who wants that.
type Draining struct {
	Node   string
	Off    bool // end the draining
	By     string
	Reason string
	Since  time.Time // the Store sets it
}

// ErrNoNode is the error of Cluster.Drain if there is no such node.
var ErrNoNode = errors.New("queue: no such node")

// NodeState is the state of a [Node].
type NodeState uint8

const (
	NodeAlive NodeState = iota + 1
	// NodeSilent: it has not reported for longer than expected, and its messages
	// have not been taken over yet.
	NodeSilent
	// NodeDead: its messages have been taken over, or are being taken over.
	NodeDead
	// NodeStopped: it has ended in an orderly way.
	NodeStopped
)

// String returns "alive", "silent", "dead" or "stopped".
func (s NodeState) String() string {
	if s == 0 || int(s) > len(nodeStates) {
		return "unknown"
	}
	return nodeStates[s-1]
}

var nodeStates = [...]string{"alive", "silent", "dead", "stopped"}

// A LeaseFinder is a [Cluster] that tells which node has leased a message.
type LeaseFinder interface {
	// LeasedBy returns the name of the node that has leased the message, or "" if
	// no node has. It returns ErrNotFound if the message is not in the store.
	LeasedBy(ctx context.Context, id string) (node string, err error)
}

// A SharedLimiter is a Store that shares limits among the queues that use it.
type SharedLimiter interface {
	// ShareLimits tells the Store what this node needs of limits that apply to all
	// nodes together, and returns what it gets, in the same order. The Queue calls
	// it about once a second with all limits of which it needs something. The sum of
	// what all nodes have got is never above the limit. A node keeps what it has got
	// until the next call, and gives back what it does not ask for again. Without
	// contact, ShareLimits returns an error.
	ShareLimits(ctx context.Context, needs []LimitNeed) ([]LimitGrant, error)
	// Members returns how many nodes shared the limits when the Store last had
	// contact, at least 1.
	Members() int
}

// A LimitNeed is what a node needs of one shared limit.
type LimitNeed struct {
	// Key identifies the limit, for example "hop example.net via internet". All
	// nodes use the same key. It has at most 512 bytes.
	Key string
	// Slots is the maximum of things at the same time for all nodes together, and
	// Want how many of them this node could use now. Using is how many it uses: it
	// keeps at least these.
	Slots, Want, Using int
	// Rate is the maximum of things per second for all nodes together, and Burst
	// the maximum number that may be saved up. Tokens is how many this node needs
	// for the next second or two.
	Rate   float64
	Burst  int
	Tokens int
}

// A LimitGrant is what a node has got.
type LimitGrant struct {
	Slots  int // at the same time, until the next call
	Tokens int // to be used once
}
