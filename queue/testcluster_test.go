package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A testCluster is a store in memory that several queues share. A test can cut the
// contact of a node, declare a node dead, and have notices lost.
type testCluster struct {
	t      *testing.T
	shared memory.Store
	stop   chan struct{}

	mu      sync.Mutex // guards all below
	nodes   []*testNode
	lostAll bool             // notices are lost
	owners  map[string]*life // who has leased, by the owner of the lease
}

// A life is one incarnation of a node.
type life struct {
	node *testNode
	dead bool
}

// A testNode is the store as one node sees it, and the queue on it.
type testNode struct {
	*memory.Store // the shared one
	c             *testCluster
	name          string
	*world
	notices chan queue.Notice
	late    time.Duration // after it, the store records the end of a lease

	// The lock of the cluster guards these.
	life     *life
	cutAt    time.Time // zero: it has contact
	draining queue.Draining
}

const (
	testBeat      = 5 * time.Second
	testDeadAfter = 15 * time.Second
)

var _ interface {
	queue.Cluster
	queue.SuspensionStore
	queue.Searcher
} = (*testNode)(nil)

// newCluster returns a cluster of running queues with these names.
func newCluster(t *testing.T, names []string, change func(*testNode)) *testCluster {
	c := &testCluster{t: t, stop: make(chan struct{}), owners: map[string]*life{}}
	for _, name := range names {
		c.add(name, change)
	}
	return c
}

// add adds a node.
func (c *testCluster) add(name string, change func(*testNode)) *testNode {
	n := &testNode{Store: &c.shared, c: c, name: name, notices: make(chan queue.Notice, 100)}
	n.life = &life{node: n}
	n.world = newWorld(c.t, func(q *queue.Queue) { q.Store, q.Hostname = n, name+".example.com" })
	n.world.store = &c.shared
	if change != nil {
		change(n)
	}
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	n.world.run()
	go n.tick()
	synctest.Wait()
	return n
}

// shutdown ends all queues.
func (c *testCluster) shutdown() {
	c.t.Helper()
	close(c.stop)
	for _, n := range c.nodes {
		n.shutdown()
	}
}

func (c *testCluster) node(name string) *testNode {
	i := slices.IndexFunc(c.nodes, func(n *testNode) bool { return n.name == name })
	return c.nodes[i]
}

// cut cuts the contact of a node with the store.
func (n *testNode) cut() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.cutAt = time.Now()
}

// reconnect gives a node its contact back. If it was declared dead, it learns of it.
func (n *testNode) reconnect() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.cutAt = time.Time{}
	if n.life.dead {
		n.life = &life{node: n}
		n.notices <- queue.Notice{Kind: queue.NoticeLost}
	}
	n.notices <- queue.Notice{Kind: queue.NoticeContact}
}

// declareDead has the other nodes take the messages of a node over.
func (n *testNode) declareDead() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.life.dead = true
	n.c.freeLeases(n.life)
}

// freeLeases ends the leases of a life. The caller has the lock.
func (c *testCluster) freeLeases(l *life) {
	ctx := context.Background()
	for e, err := range c.shared.List(ctx, queue.Query{}) {
		if err != nil {
			c.t.Error(err)
			return
		}
		if owner := e.Schedule.Owner; owner != "" && c.owners[owner] == l {
			m, err := c.shared.Get(ctx, e.ID)
			if err == nil {
				err = c.shared.Update(ctx, owner, m, queue.Schedule{Hop: e.Schedule.Hop})
			}
			if err != nil {
				c.t.Error(err)
			}
		}
	}
}

// available returns an error if the node has no contact.
func (n *testNode) available() error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if !n.cutAt.IsZero() {
		return fmt.Errorf("%w: no route to host", queue.ErrUnavailable)
	}
	return nil
}

// leases notes that the present life of the node has leased as owner.
func (n *testNode) leases(owner string) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if owner != "" {
		n.c.owners[owner] = n.life
	}
}

func (n *testNode) Put(ctx context.Context, m *queue.Message, s queue.Schedule) error {
	if err := n.available(); err != nil {
		return err
	}
	n.leases(s.Owner)
	return n.Store.Put(ctx, m, s)
}

func (n *testNode) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	if err := n.available(); err != nil {
		return nil, err
	}
	n.leases(c.Owner)
	return n.Store.Claim(ctx, c)
}

func (n *testNode) Update(ctx context.Context, owner string, m *queue.Message, s queue.Schedule) error {
	if err := n.available(); err != nil {
		return err
	}
	if n.late > 0 && s.Owner == "" {
		copied := *m
		copied.Recipients = nil
		for _, r := range m.Recipients {
			r := *r
			copied.Recipients = append(copied.Recipients, &r)
		}
		time.AfterFunc(n.late, func() {
			if err := n.Store.Update(context.WithoutCancel(ctx), owner, &copied, s); err != nil {
				n.t.Error(err)
			}
		})
		return nil
	}
	return n.Store.Update(ctx, owner, m, s)
}

func (n *testNode) UpdateRecipients(ctx context.Context, owner string, m *queue.Message, changed []int, s queue.Schedule) error {
	if err := n.available(); err != nil {
		return err
	}
	return n.Store.UpdateRecipients(ctx, owner, m, changed, s)
}

func (n *testNode) Remove(ctx context.Context, owner, id string) error {
	if err := n.available(); err != nil {
		return err
	}
	return n.Store.Remove(ctx, owner, id)
}

func (n *testNode) Renew(ctx context.Context, owner string, until time.Time, ids ...string) ([]string, error) {
	if err := n.available(); err != nil {
		return nil, err
	}
	return n.Store.Renew(ctx, owner, until, ids...)
}

func (n *testNode) Sync(ctx context.Context) error { return n.available() }

func (n *testNode) Suspensions(ctx context.Context) ([]queue.Suspension, error) {
	if err := n.available(); err != nil {
		return nil, err
	}
	return n.Store.Suspensions(ctx)
}

func (n *testNode) StoreStats() queue.StoreStats {
	return queue.StoreStats{Err: n.available(), Free: -1}
}

func (n *testNode) MayBegin(owner, id string) error {
	n.c.mu.Lock()
	cutAt := n.cutAt
	n.c.mu.Unlock()
	if !cutAt.IsZero() && time.Since(cutAt) > testDeadAfter-testBeat {
		return errors.New("no contact")
	}
	return n.MayFinish(owner, id)
}

func (n *testNode) MayFinish(owner, id string) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if !n.cutAt.IsZero() && time.Since(n.cutAt) > testDeadAfter {
		return errors.New("the leases are over")
	}
	for e := range n.c.shared.Search(context.Background(), queue.Search{ID: id}) {
		if e != nil && e.Schedule.Owner == owner && n.c.owners[owner] == n.life {
			return nil
		}
	}
	return queue.ErrLeaseLost
}

func (n *testNode) Name() string                 { return n.name }
func (n *testNode) Notices() <-chan queue.Notice { return n.notices }

func (n *testNode) Notify(notice queue.Notice) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.lostAll || !n.cutAt.IsZero() {
		return
	}
	for _, o := range n.c.nodes {
		if o != n && o.cutAt.IsZero() {
			o.offer(notice)
		}
	}
}

// offer passes a notice to the node, unless it has too many.
func (n *testNode) offer(notice queue.Notice) {
	select {
	case n.notices <- notice:
	default:
	}
}

// tick has the node look for mail once a second.
func (n *testNode) tick() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.offer(queue.Notice{Kind: queue.NoticeMail})
		case <-n.c.stop:
			return
		}
	}
}

func (n *testNode) Holders(ctx context.Context, ids ...string) ([]string, error) {
	if err := n.available(); err != nil {
		return nil, err
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		for e := range n.c.shared.Search(ctx, queue.Search{ID: id}) {
			n.c.mu.Lock()
			if l := n.c.owners[e.Schedule.Owner]; e.ID == id && l != nil {
				names[i] = l.node.name
			}
			n.c.mu.Unlock()
		}
	}
	return names, nil
}

func (n *testNode) Nodes(context.Context) (all []queue.Node, err error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for _, o := range n.c.nodes {
		node := queue.Node{Name: o.name, State: queue.NodeAlive, This: o == n, Draining: o.draining}
		if o.life.dead {
			node.State = queue.NodeDead
		}
		all = append(all, node)
	}
	return all, nil
}

func (n *testNode) Drain(_ context.Context, d queue.Draining) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for _, o := range n.c.nodes {
		if o.name != d.Node {
			continue
		}
		if o.draining = d; d.Off {
			o.draining = queue.Draining{}
			o.notices <- queue.Notice{Kind: queue.NoticeUndrain}
		} else {
			o.notices <- queue.Notice{Kind: queue.NoticeDrain}
		}
		return nil
	}
	return queue.ErrNoNode
}

// drain drains a node, or ends that.
func (c *testCluster) drain(name string, on bool) {
	c.t.Helper()
	if err := c.nodes[0].Drain(context.Background(), queue.Draining{Node: name, Off: !on}); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

// stored returns the number of stored messages.
func (c *testCluster) stored() int { return c.nodes[0].stored() }

// taken returns the recipients that each node has delivered to since the last call,
// for example "a: bob@example.net".
func (c *testCluster) taken() string {
	var lines []string
	for _, n := range c.nodes {
		var rcpts []string
		for _, call := range n.took() {
			rcpts = append(rcpts, call.rcpts...)
		}
		if len(rcpts) > 0 {
			slices.Sort(rcpts)
			lines = append(lines, n.name+": "+strings.Join(rcpts, " "))
		}
	}
	return strings.Join(lines, "; ")
}
