//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// chaosTime is the environment variable with the duration of the long form of
// TestChaos, for example 10m.
const chaosTime = "BRIDGEHEAD_CHAOS"

// Whatever happens to nodes and to the database, each message that was answered with
// 250 is delivered. It is delivered twice only if a fault kept the node from recording
// the first delivery.
//
// The short form causes each fault once, in random order.
func TestChaos(t *testing.T) {
	t.Parallel()
	c := &chaos{ledger: newLedger(), deadAfter: 4 * time.Second, rnd: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	c.load = &load{ledger: c.ledger, pause: 200 * time.Millisecond}
	flags := []string{"-beat", "1s", "-dead-after", "4s"}
	long, err := time.ParseDuration(os.Getenv(chaosTime))
	if err == nil {
		flags, c.deadAfter = nil, 15*time.Second // the defaults
		c.load.pause = 50 * time.Millisecond
	}
	c.server = pgtest.Start(t)
	c.url = c.server.Database(t)
	c.nodes = newNodes(t, c.server, c.url, newSink(t, c.ledger), []string{"a", "b", "c"}, flags...)
	c.announce()

	ctx, stop := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	sending.Go(func() { c.load.run(ctx, 40) })
	began := time.Now()
	for {
		for _, n := range c.rnd.Perm(len(faults)) {
			c.quiet(time.Second)
			faults[n].cause(c, t, &fault{kind: faults[n].kind, effect: faults[n].effect})
			if t.Failed() {
				break
			}
		}
		if t.Failed() || time.Since(began) >= long {
			break
		}
	}
	c.quiet(time.Second)
	stop()
	sending.Wait()
	c.awaitDelivery(t)
	for _, n := range c.nodes {
		n.Stop(t) // in an orderly way
	}
	c.ledger.check(t)
}

// A chaos is the world of TestChaos.
type chaos struct {
	server    *pgtest.Server // the primary
	url       string
	nodes     []*node
	ledger    *ledger
	load      *load
	deadAfter time.Duration
	rnd       *rand.Rand
}

// An effect is what a fault does to a node.
type effect struct {
	// repeats: it may keep the node from recording a delivery for so long that the others
	// deliver the message again. After other faults, a node still knows what it has
	// delivered, and records it.
	repeats bool
	// separates: the node cannot reach the database as long as it lasts.
	separates bool
}

// faults are the kinds of faults.
var faults = []struct {
	kind string
	effect
	cause func(c *chaos, t *testing.T, f *fault)
}{
	{"node killed", effect{repeats: true}, (*chaos).killNode},
	{"node suspended", effect{repeats: true}, (*chaos).suspendNode},
	{"node cut off", effect{repeats: true, separates: true}, (*chaos).cutNode},
	{"database restarted", effect{}, (*chaos).restart},
	{"database killed", effect{separates: true}, (*chaos).kill},
	{"connections terminated", effect{}, (*chaos).terminate},
	{"answers to COMMIT dropped", effect{}, (*chaos).dropAnswers},
	{"standby promoted", effect{}, (*chaos).promote},
}
