package queue_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
)

// A counter counts the attempts of all nodes.
type counter struct {
	mu            sync.Mutex // guards all below
	present, most int
	by            map[string]int // in progress, by node
	begun         []time.Time
	delivered     map[string]int // by node
}

// attempts makes the attempts of a node take time, and counts them.
func (c *counter) attempts(n *testNode, took time.Duration) {
	n.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
		c.count(n.name, 1)
		time.Sleep(took)
		c.count(n.name, -1)
		return ok
	}
}

func (c *counter) count(node string, d int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by, c.delivered = map[string]int{}, map[string]int{}
	}
	c.by[node] += d
	c.present += d
	if d > 0 {
		c.most = max(c.most, c.present)
		c.begun = append(c.begun, time.Now())
	} else {
		c.delivered[node]++
	}
}

// state returns the most attempts at the same time so far, and those in progress.
func (c *counter) state() (most int, by map[string]int, delivered map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by, delivered = map[string]int{}, map[string]int{}
	for name, n := range c.by {
		by[name] = n
	}
	for name, n := range c.delivered {
		delivered[name] = n
	}
	return c.most, by, delivered
}

// A sharingStore is a testNode whose hops share their limits with the other nodes.
type sharingStore struct {
	*testNode
	*clustertest.LimitNode
}

// newSharing returns a cluster of nodes that share limits. Attempts take some time.
func newSharing(t *testing.T, names []string, hop queue.HopLimits, took time.Duration) (*testCluster, *clustertest.Limits, *counter) {
	limits, count := new(clustertest.Limits), new(counter)
	for _, name := range names {
		limits.Node(name) // all nodes are known before the first attempt
	}
	c := newCluster(t, names, func(n *testNode) {
		n.q.Limits.Hop = hop
		n.q.Store = sharingStore{n, limits.Node(n.name)}
		count.attempts(n, took)
	})
	return c, limits, count
}

func (n *testNode) submitMany(many int) {
	for i := range many {
		n.submit("alice@example.com", fmt.Sprintf("%s%d@example.net", n.name, i))
	}
}

// HopLimits.Concurrency applies to all nodes together, and each gets its part. A node
// that has no mail for the hop keeps nothing.
func TestSharedConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, count := newSharing(t, []string{"a", "b", "c"}, queue.HopLimits{Concurrency: 6, Start: 6}, 2500*time.Millisecond)
		defer c.shutdown()
		a := c.node("a")
		a.submitMany(12)
		a.after(time.Second)
		if most, by, _ := count.state(); by["a"] != 6 || most != 6 {
			t.Errorf("one node alone: %v, at most %d", by, most)
		}
		a.after(20 * time.Second)
		for _, n := range c.nodes {
			n.submitMany(30)
		}
		a.after(15 * time.Second)
		if most, by, _ := count.state(); by["a"] != 2 || by["b"] != 2 || by["c"] != 2 || most != 6 {
			t.Errorf("all nodes: %v, at most %d", by, most)
		}
		a.after(2 * time.Minute)
		if most, _, delivered := count.state(); most != 6 || c.stored() != 0 {
			t.Errorf("at most %d, delivered %v, %d stored", most, delivered, c.stored())
		}
	})
}

// One slot for three nodes: each has it in turn.
func TestSharedConcurrencyOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, count := newSharing(t, []string{"a", "b", "c"}, queue.HopLimits{Concurrency: 1}, 300*time.Millisecond)
		defer c.shutdown()
		for _, n := range c.nodes {
			n.submitMany(40)
		}
		c.node("a").after(30 * time.Second)
		most, _, delivered := count.state()
		for _, n := range c.nodes {
			if delivered[n.name] < 5 {
				t.Errorf("%s has delivered %d: %v", n.name, delivered[n.name], delivered)
			}
		}
		if most != 1 {
			t.Errorf("%d attempts at the same time", most)
		}
		c.node("a").after(2 * time.Minute)
		if c.stored() != 0 {
			t.Errorf("%d are stored", c.stored())
		}
	})
}

// Pace.MaxConcurrency applies to all nodes together.
func TestSharedPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, limits := new(counter), new(clustertest.Limits)
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			n.q.Store = sharingStore{n, limits.Node(n.name)}
			count.attempts(n, time.Second)
			n.q.Deliverer = narrow{n.world}
		})
		defer c.shutdown()
		for _, n := range c.nodes {
			n.submitMany(10)
		}
		c.node("a").after(time.Minute)
		if most, _, delivered := count.state(); most != 3 || c.stored() != 0 {
			t.Errorf("at most %d at the same time, %v, %d stored", most, delivered, c.stored())
		}
	})
}

// A narrow allows three attempts at each hop.
type narrow struct{ *world }

func (narrow) Pace(queue.NextHop) queue.Pace { return queue.Pace{MaxConcurrency: 3} }

// With Pace.PerNode, MaxConcurrency applies to each node, and HopLimits.Concurrency still
// to all together.
func TestPacePerNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, limits := new(counter), new(clustertest.Limits)
		c := newCluster(t, []string{"a", "b", "c"}, func(n *testNode) {
			n.q.Store = sharingStore{n, limits.Node(n.name)}
			n.q.Limits.Hop = queue.HopLimits{Concurrency: 5, Start: 5}
			count.attempts(n, 2*time.Second)
			n.q.Deliverer = perNode{n.world}
		})
		defer c.shutdown()
		for _, n := range c.nodes {
			n.submitMany(20)
		}
		c.node("a").after(9 * time.Second)
		if most, by, _ := count.state(); by["a"] > 2 || by["b"] > 2 || by["c"] > 2 || most != 5 {
			t.Errorf("%v, at most %d at the same time", by, most)
		}
		c.node("a").after(time.Minute)
		if c.stored() != 0 {
			t.Errorf("%d stored", c.stored())
		}
	})
}

// A connection of one node that is dead leaves the mail to the connections of the others,
// but for a few messages.
func TestDeadConnectionPerNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, limits := new(counter), new(clustertest.Limits)
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			n.q.Store = sharingStore{n, limits.Node(n.name)}
			count.attempts(n, map[string]time.Duration{"a": 10 * time.Minute, "b": time.Millisecond}[n.name])
			n.q.Deliverer = perNode{n.world}
		})
		defer c.shutdown()
		c.drain("b", true)
		c.node("a").submitMany(40)
		c.node("a").after(time.Second)
		c.drain("b", false)
		c.node("b").after(10 * time.Second)
		if _, _, delivered := count.state(); delivered["b"] < 30 {
			t.Errorf("%v are delivered, %d stored", delivered, c.stored())
		}
	})
}

// A perNode allows two attempts of each node at each hop.
type perNode struct{ *world }

func (perNode) Pace(queue.NextHop) queue.Pace { return queue.Pace{MaxConcurrency: 2, PerNode: true} }

// HopLimits.Rate applies to all nodes together, whether it is high or low, and all of it
// is used.
func TestSharedRate(t *testing.T) {
	for _, tt := range []struct {
		rate  float64
		names []string // of the nodes with mail
		each  int
	}{
		{2, []string{"a", "b", "c"}, 10},
		{20, []string{"a", "b", "c"}, 100},
		{20, []string{"a"}, 100},
		{1. / 10, []string{"a", "b", "c"}, 4},
	} {
		t.Run(fmt.Sprint(tt.rate, tt.names), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, count := newSharing(t, []string{"a", "b", "c"}, queue.HopLimits{Rate: tt.rate}, time.Millisecond)
				defer c.shutdown()
				begun := time.Now()
				for _, name := range tt.names {
					c.node(name).submitMany(tt.each)
				}
				gap := time.Duration(float64(time.Second) / tt.rate)
				total := len(tt.names) * tt.each
				for c.stored() > 0 && time.Since(begun) < 4*time.Duration(total)*gap {
					c.node("a").after(time.Second)
				}
				took, best := time.Since(begun), time.Duration(total)*gap
				if took > best*5/4+5*time.Second {
					t.Errorf("%d attempts took %v, the rate allows %v", total, took, best)
				}
				if slices.MinFunc(pairs(count.begun), func(a, b time.Duration) int { return int(a - b) }) < gap/2-10*time.Millisecond {
					t.Errorf("two attempts follow too soon: %v", pairs(count.begun))
				}
				if rate := float64(total-2) / took.Seconds(); rate > tt.rate {
					t.Errorf("%v a second, the limit is %v", rate, tt.rate)
				}
			})
		})
	}
}

// pairs returns the times between consecutive ones.
func pairs(ts []time.Time) (ds []time.Duration) {
	for i := 1; i < len(ts); i++ {
		ds = append(ds, ts[i].Sub(ts[i-1]))
	}
	return ds
}

// The slots of a node that dies are free for the others.
func TestSharedDeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, limits, count := newSharing(t, []string{"a", "b"}, queue.HopLimits{Concurrency: 4, Start: 4}, time.Minute)
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		a.submitMany(4)
		a.after(time.Second)
		b.submitMany(4)
		b.after(10 * time.Second)
		if _, by, _ := count.state(); by["a"] != 4 || by["b"] != 0 {
			t.Fatalf("in progress: %v", by)
		}
		a.cut()
		limits.Node("a").Cut(true)
		b.after(10 * time.Second)
		if _, by, _ := count.state(); by["b"] != 0 {
			t.Errorf("while the other node may be alive: %v", by)
		}
		a.declareDead()
		limits.Die("a")
		b.after(3 * time.Second)
		if _, by, _ := count.state(); by["b"] != 4 {
			t.Errorf("when the other node is dead: %v", by)
		}
	})
}

// A node that cannot ask for its part of the limits keeps what it has. It applies the
// limit divided by the number of nodes when it has had no answer for long.
func TestSharedWithoutContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, limits, count := newSharing(t, []string{"a", "b", "c"}, queue.HopLimits{Concurrency: 7, Start: 7}, 9*time.Second)
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		a.submitMany(25)
		a.after(5 * time.Second)
		limits.Node("a").Cut(true)
		limits.Node("b").Cut(true)
		b.submitMany(20)
		b.after(5 * time.Second)
		if _, by, _ := count.state(); by["a"] != 7 || by["b"] != 0 { // a has begun others
			t.Errorf("without contact, at first: %v", by)
		}
		b.after(8 * time.Second)
		if _, by, _ := count.state(); by["b"] != 2 {
			t.Errorf("without contact for long: %v", by)
		}
		limits.Node("a").Cut(false)
		limits.Node("b").Cut(false)
		b.after(time.Minute)
		if c.stored() != 0 {
			t.Errorf("%d are stored", c.stored())
		}
	})
}

// Likewise for a rate.
func TestSharedRateWithoutContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, limits, count := newSharing(t, []string{"a", "b"}, queue.HopLimits{Rate: 4}, 0)
		defer c.shutdown()
		limits.Node("a").Cut(true)
		a := c.node("a")
		a.submitMany(300)
		a.after(12 * time.Second)
		_, _, before := count.state()
		a.after(20 * time.Second)
		_, _, after := count.state()
		if n := after["a"] - before["a"]; n < 36 || n > 44 {
			t.Errorf("%d attempts in 20 s, the half of the rate is 40", n)
		}
	})
}

// A node whose own limits are used up leaves the mail to the others.
func TestLeavesMailToOthers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testNode)
	}{
		{"Limits.Deliveries", func(n *testNode) { n.q.Limits.Deliveries = 2 }},
		{"Limits.Rate", func(n *testNode) { n.q.Limits.Rate = 0.5 }},
		{"slow", func(n *testNode) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits, count := new(clustertest.Limits), new(counter)
				c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
					n.q.Limits.Hop = queue.HopLimits{Concurrency: 20, Start: 20}
					n.q.Store = sharingStore{n, limits.Node(n.name)}
					if n.name == "b" {
						count.attempts(n, time.Second)
						return
					}
					count.attempts(n, time.Second)
					if tt.change(n); tt.name == "slow" {
						n.q.Limits.Hop.Start = 1
						count.attempts(n, time.Minute)
					}
				})
				defer c.shutdown()
				a := c.node("a")
				a.submitMany(200)
				a.after(25 * time.Second)
				if most, by, delivered := count.state(); delivered["b"] < 80 || most > 20 {
					t.Errorf("%d at the same time; delivered %v, in progress %v, %d stored", most, delivered, by, c.stored())
				}
				a.after(15 * time.Minute)
				if c.stored() != 0 {
					t.Errorf("%d are stored", c.stored())
				}
			})
		})
	}
}

// A Queue that ends gives its slots back, also if its store remains open.
func TestSharedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, limits, _ := newSharing(t, []string{"a"}, queue.HopLimits{Concurrency: 5, Start: 5}, time.Hour)
		a := c.node("a")
		a.submitMany(5)
		a.after(time.Second)
		ask := func() int {
			hop := "out\x00example.net"
			grants, err := limits.Node("other").ShareLimits(context.Background(), []queue.LimitDemand{{Key: hop, Slots: 5, Want: 5}})
			if err != nil {
				t.Fatal(err)
			}
			return grants[0].Slots
		}
		if n := ask(); n != 0 {
			t.Errorf("another node gets %d slots", n)
		}
		c.shutdown()
		if n := ask(); n != 5 {
			t.Errorf("when the Queue has ended, another node gets %d slots", n)
		}
	})
}

func TestLimitWithoutContact(t *testing.T) {
	for _, tt := range [][3]int{{20, 3, 6}, {20, 1, 20}, {2, 3, 1}, {1, 0, 1}} {
		if got := queue.LimitWithoutContact(tt[0], tt[1]); got != tt[2] {
			t.Errorf("LimitWithoutContact(%d, %d) = %d, want %d", tt[0], tt[1], got, tt[2])
		}
	}
}

// A slowSharing is a store that takes long to divide limits.
type slowSharing struct{ sharingStore }

func (s slowSharing) ShareLimits(ctx context.Context, demands []queue.LimitDemand) ([]queue.LimitGrant, error) {
	time.Sleep(200 * time.Millisecond)
	return s.sharingStore.ShareLimits(ctx, demands)
}

// Only the first message for a hop waits for the store: a node keeps the slots of a hop
// for which it has mail now and then.
func TestSharedSteadyHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := new(clustertest.Limits)
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			n.q.Store = slowSharing{sharingStore{n, limits.Node(n.name)}}
		})
		defer c.shutdown()
		a := c.node("a")
		for i := range 100 {
			begun := time.Now()
			a.submit("alice@example.com", fmt.Sprintf("u%d@example.net", i))
			for len(a.took()) == 0 {
				a.after(10 * time.Millisecond)
			}
			if took := time.Since(begun); i > 0 && took > 10*time.Millisecond {
				t.Errorf("message %d waited %v", i, took)
			}
			a.after(90 * time.Millisecond)
		}
	})
}
