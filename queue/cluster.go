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
// A Cluster can also be a [LimitSharer] and a [CountSharer].
//
// Without a Cluster, the Queue assumes that it is the only one that uses the Store.
type Cluster interface {
	LeaseGuard

	// Name returns the name of this node.
	Name() string

	// Notify sends n to the other nodes. It does not wait, and it may merge notices
	// or lose them: without the notice, the other nodes find the change at their next
	// look, at most a few seconds later.
	Notify(n Notice)
	// Notices returns the channel of the notices of other nodes and of the Store
	// itself. It is always the same channel. It is closed when the Store is closed.
	// The notices about this node (NoticeDrain, NoticeUndrain, NoticeLost) come in
	// order and are not lost: the channel or the Store keeps them until they are
	// received. If the node drains when the Store is opened, NoticeDrain is in the
	// channel from the beginning.
	Notices() <-chan Notice

	// Holders returns the name of the node that has leased each message, in the
	// order of ids. The name is empty if no node has leased it or if it is not in
	// the store.
	Holders(ctx context.Context, ids ...string) ([]string, error)
	// Nodes returns the nodes that the Store knows, this one included, in the order
	// of their names. Each name is there once, with its newest process or, if it is
	// that of this node, with this process.
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
	// last moment before a delivery becomes final: before the end of data.
	MayFinish(owner, id string) error
}

// A Notice is a change that the other nodes of a [Cluster] should know at once.
type Notice struct {
	Kind NoticeKind
	// Hops are the next hops that a NoticeRetry is about. None means all. A Cluster
	// may merge several notices, and may replace more than MaxNoticeHops hops by
	// none.
	Hops []NextHop
}

// MaxNoticeHops is the maximum number of hops in a [Notice].
const MaxNoticeHops = 100

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
	// NoticeContact: this node has contact with the others again, so MayBegin
	// permits deliveries again.
	NoticeContact
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
	// Processes is how many living processes have this name, if the Store counts
	// them. There should be one: each node needs a name of its own.
	Processes int
	// Draining is the draining of the node. It is zero if the node does not drain.
	Draining Draining
	// Info describes the node, for example its host name and its version.
	Info map[string]string
}

// A Draining is an order of an operator to a node. By is the operator.
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
