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
	c := &chaos{ledger: newLedger(), deadAfter: 3 * time.Second, rnd: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	c.load = &load{ledger: c.ledger, pause: 200 * time.Millisecond}
	flags := []string{"-beat", "1s", "-dead-after", "3s"}
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
			faults[n].cause(c, t, &fault{kind: faults[n].kind, repeats: faults[n].repeats})
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

// faults are the kinds of faults. One that repeats may keep a node from recording a
// delivery for so long that the others deliver the message again. After the others, a
// node still knows what it has delivered, and records it.
var faults = []struct {
	kind    string
	repeats bool
	cause   func(c *chaos, t *testing.T, f *fault)
}{
	{"node killed", true, (*chaos).killNode},
	{"node suspended", true, (*chaos).suspendNode},
	{"node cut off", true, (*chaos).cutNode},
	{"database restarted", false, (*chaos).restart},
	{"database killed", false, (*chaos).kill},
	{"connections terminated", false, (*chaos).terminate},
	{"answers to COMMIT dropped", false, (*chaos).dropAnswers},
	{"standby promoted", false, (*chaos).promote},
}
