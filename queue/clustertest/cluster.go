package clustertest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Cluster has the methods of a queue.Cluster. It is safe for concurrent use.
type Cluster struct {
	notices chan queue.Notice // made by the first call that needs it
	once    sync.Once         // makes notices

	mu     sync.Mutex        // guards all below
	nodes  []queue.Node      // by name
	leased map[string]string // node names, by the IDs of messages
	err    error             // of Nodes, Drain and Holders
}

var _ queue.Cluster = (*Cluster)(nil)

// New returns a cluster with nodes.
func New(nodes ...queue.Node) *Cluster {
	c := &Cluster{leased: map[string]string{}}
	c.Set(nodes...)
	return c
}

// Set replaces the nodes.
func (c *Cluster) Set(nodes ...queue.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = slices.Clone(nodes)
	slices.SortFunc(c.nodes, func(a, b queue.Node) int { return strings.Compare(a.Name, b.Name) })
}

// Lease says which node has leased a message.
func (c *Cluster) Lease(id, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leased[id] = node
}

// Fail makes the calls that ask the store return err, or work again if err is nil.
func (c *Cluster) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// Nodes implements queue.Cluster.
func (c *Cluster) Nodes(context.Context) ([]queue.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes), c.err
}

// Drain implements queue.Cluster. It tells the Queue if the node is this one.
func (c *Cluster) Drain(_ context.Context, d queue.Draining) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	i := slices.IndexFunc(c.nodes, func(one queue.Node) bool { return one.Name == d.Node })
	if i < 0 {
		return queue.ErrNoNode
	}
	notice := queue.Notice{Kind: queue.NoticeUndrain}
	if c.nodes[i].Draining = (queue.Draining{}); !d.Off {
		d.Since = time.Now()
		c.nodes[i].Draining, notice.Kind = d, queue.NoticeDrain
	}
	if c.nodes[i].This {
		c.channel() <- notice
	}
	return nil
}

// Holders implements queue.Cluster. It returns what Lease has said.
func (c *Cluster) Holders(_ context.Context, ids ...string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = c.leased[id]
	}
	return names, c.err
}

// Name implements queue.Cluster.
func (c *Cluster) Name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.nodes {
		if c.nodes[i].This {
			return c.nodes[i].Name
		}
	}
	return ""
}

// Notices implements queue.Cluster.
func (c *Cluster) Notices() <-chan queue.Notice { return c.channel() }

// channel makes the channel when it is needed, so that it belongs to the synctest bubble of
// the Queue, also if New was called outside.
func (c *Cluster) channel() chan queue.Notice {
	c.once.Do(func() { c.notices = make(chan queue.Notice, 100) })
	return c.notices
}

// Notify implements queue.Cluster. There is no other node that could read it.
func (c *Cluster) Notify(queue.Notice) {}

// MayBegin implements queue.LeaseGuard. This node always has contact.
func (c *Cluster) MayBegin(owner, id string) error { return nil }

// MayFinish implements queue.LeaseGuard.
func (c *Cluster) MayFinish(owner, id string) error { return nil }
