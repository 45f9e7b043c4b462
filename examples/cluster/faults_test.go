//go:build unix

package main

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

func (c *chaos) victim() *node { return c.nodes[c.rnd.IntN(len(c.nodes))] }

// quiet waits, on average for d.
func (c *chaos) quiet(d time.Duration) { c.wait(time.Duration(c.rnd.Int64N(int64(2 * d)))) }

func (c *chaos) wait(d time.Duration) { pause(context.Background(), d) }

// announce tells the clients the addresses of the nodes.
func (c *chaos) announce() {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.Addrs[0])
	}
	c.load.use(addrs)
}

// killNode kills a node. Another process with its name and its folder starts, before
// or after the others have taken its messages over.
func (c *chaos) killNode(t *testing.T, f *fault) {
	n := c.victim()
	c.ledger.during(f, n.name, n.Kill)
	c.quiet(c.deadAfter)
	n.start(t)
	c.announce()
}

// suspendNode stops a node until the others have taken its messages over.
func (c *chaos) suspendNode(t *testing.T, f *fault) {
	n := c.victim()
	c.ledger.during(f, n.name, func() {
		n.Suspend(t)
		c.wait(c.deadAfter + c.deadAfter/2)
		n.Continue(t)
	})
}

// cutNode cuts a node off from the database, for a shorter or a longer time than it
// takes to be dead.
func (c *chaos) cutNode(t *testing.T, f *fault) {
	n := c.victim()
	cut, heal := n.proxy.Down, n.proxy.Up // the network says so
	if c.rnd.IntN(2) == 0 {
		cut, heal = n.proxy.Stall, n.proxy.Continue // it is silent
	}
	c.ledger.during(f, n.name, func() {
		cut()
		c.quiet(c.deadAfter)
		f.alone = time.Now()
		heal()
	})
}

func (c *chaos) restart(t *testing.T, f *fault) {
	c.ledger.during(f, "", func() { c.server.Restart(t) })
}

// kill kills the database. For a while there is none.
func (c *chaos) kill(t *testing.T, f *fault) {
	c.ledger.during(f, "", func() {
		c.server.Kill9(t)
		c.quiet(c.deadAfter)
		f.alone = time.Now()
		c.server.Up(t)
	})
}

func (c *chaos) terminate(t *testing.T, f *fault) {
	c.ledger.during(f, "", func() { c.server.Terminate(t) })
}

// dropAnswers cuts, at each node, the answer to the commit of new mail, and the answer
// to the commit of results.
func (c *chaos) dropAnswers(t *testing.T, f *fault) {
	ctx, cancel := context.WithTimeout(t.Context(), c.deadAfter)
	defer cancel()
	c.ledger.during(f, "", func() {
		for _, sql := range []string{"insert into bridgehead.message", "delete from bridgehead.message"} {
			var dropped []*pgtest.Fault
			for _, n := range c.nodes {
				dropped = append(dropped, n.proxy.CutAnswer(sql))
			}
			for i, d := range dropped {
				select {
				case <-d.Happened():
				case <-ctx.Done():
					t.Errorf("node %s has not committed %q", c.nodes[i].name, sql)
					c.nodes[i].proxy.Disarm(d)
				}
			}
		}
	})
}

// promote makes a synchronous standby the primary.
func (c *chaos) promote(t *testing.T, f *fault) {
	standby := c.server.Standby(t)
	c.wait(time.Second) // the commits that did not wait for the standby are on it now
	c.quiet(time.Second)
	c.ledger.during(f, "", func() {
		c.server.Kill9(t)
		standby.Promote(t)
		c.server = standby
		for _, n := range c.nodes {
			n.proxy.Target(standby)
		}
	})
}

// query looks into the database of the present primary.
func (c *chaos) query(t *testing.T, sql string) string {
	t.Helper()
	return c.server.Query(t, c.server.Admin(c.url), sql)
}

// awaitDelivery waits until all accepted messages have been delivered and the queue is
// empty.
func (c *chaos) awaitDelivery(t *testing.T) {
	t.Helper()
	least, end := math.MaxInt, time.Time{}
	for {
		missing := len(c.ledger.missing())
		left := c.query(t, "select count(*) from bridgehead.message")
		if missing == 0 && left == "0" {
			return
		}
		if missing < least {
			least, end = missing, time.Now().Add(c.deadAfter+30*time.Second)
		}
		if time.Now().After(end) {
			t.Errorf("%d accepted messages are not delivered, %s are in the queue; nodes:\n%s\nmessages:\n%s", missing, left,
				c.query(t, "select * from bridgehead.node"), c.query(t, "select id, node, lease, ready, due from bridgehead.message limit 20"))
			return
		}
		c.wait(100 * time.Millisecond)
	}
}
