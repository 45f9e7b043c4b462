package policy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
)

// A rateNode is a node whose Rates count together with others.
type rateNode struct {
	*clustertest.LimitNode
	rates *Rates
}

// sharedRates returns nodes with a limit.
func sharedRates(rate Rate, names ...string) (nodes []*rateNode) {
	limits := new(clustertest.Limits)
	for _, name := range names {
		limits.Node(name) // each knows all
	}
	for _, name := range names {
		n := &rateNode{LimitNode: limits.Node(name)}
		n.rates = &Rates{Rates: []Rate{rate}, Shared: n}
		n.rates.Agent()
		nodes = append(nodes, n)
	}
	return nodes
}

// take tries to count messages and recipients, and returns whether that was possible.
func (n *rateNode) take(key string, messages, recipients int) bool {
	return n.rates.counters[0].take(key, messages, recipients, time.Now())
}

// A limit applies to all nodes together, in a sliding period. A node does not know what
// the others have counted since it last had mail of the client, so each of the two others
// may accept one more.
func TestRatesShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sharedRates(Rate{Messages: 10, Recipients: 3}, "a", "b", "c")
		accepted := func(messages, recipients int) (n int) {
			for i := range 30 {
				if nodes[i%3].take("alice", messages, recipients) {
					n++
				}
				time.Sleep(300 * time.Millisecond)
			}
			return n
		}
		if n := accepted(1, 0); n < 10 || n > 12 {
			t.Errorf("%d messages are accepted, the limit is 10", n)
		}
		if n := accepted(0, 1); n < 3 || n > 5 {
			t.Errorf("%d recipients are accepted, the limit is 3", n)
		}
		if !nodes[0].take("bob", 1, 0) {
			t.Error("another key is limited")
		}
		time.Sleep(2 * time.Hour)
		if n := accepted(1, 0); n < 10 || n > 12 {
			t.Errorf("%d messages are accepted in a later period, the limit is 10", n)
		}
	})
}

// All nodes together accept no more than the limit and what the other nodes accept
// between two exchanges.
func TestRatesSharedAccuracy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sharedRates(Rate{Messages: 100}, "a", "b", "c")
		const every = 20 * time.Millisecond
		accepted := 0
		for range 200 {
			for _, n := range nodes {
				if n.take("alice", 1, 0) {
					accepted++
				}
			}
			time.Sleep(every)
		}
		if most := 100 + 2*int(ratesInterval/every+1); accepted < 100 || accepted > most {
			t.Errorf("%d are accepted, the limit is 100, and the accuracy allows %d", accepted, most)
		}
	})
}

// A client that sends slowly is limited too: no count is forgotten between its messages.
func TestRatesSharedSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sharedRates(Rate{Messages: 30}, "a", "b")
		accepted := 0
		for i := range 240 {
			if nodes[i%2].take("alice", 1, 0) {
				accepted++
			}
			time.Sleep(time.Minute)
		}
		if accepted < 110 || accepted > 135 {
			t.Errorf("%d are accepted in 4 hours, the limit is 30 an hour", accepted)
		}
	})
}

// Without contact, each node applies its part of the limit to what it has counted itself.
// What it has counted is told when there is contact again, but not what is too old.
func TestRatesWithoutContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sharedRates(Rate{Messages: 100}, "a", "b")
		a, b := nodes[0], nodes[1]
		many := func(n *rateNode, tries int) (accepted int) {
			for range tries {
				if n.take("alice", 1, 0) {
					accepted++
				}
			}
			return accepted
		}
		if n := many(a, 20); n != 20 {
			t.Errorf("with contact: %d", n)
		}
		time.Sleep(time.Second)
		a.Cut(true)
		many(a, 1)
		time.Sleep(time.Second)
		if n := many(a, 100); n != 29 {
			t.Errorf("without contact, %d more are accepted, the half of the limit is 50", n)
		}
		a.Cut(false)
		time.Sleep(3 * time.Second)
		many(b, 1)
		time.Sleep(time.Second)
		if n := many(b, 100); n != 49 {
			t.Errorf("the other node accepts %d more, 50 are left", n)
		}
		a.Cut(true)
		time.Sleep(3 * time.Hour)
		many(a, 50)
		time.Sleep(3 * time.Hour)
		a.Cut(false)
		time.Sleep(2 * time.Second)
		many(a, 1)
		time.Sleep(time.Second)
		many(b, 1)
		time.Sleep(time.Second)
		if n := many(b, 200); n != 98 {
			t.Errorf("after a long time, %d are accepted, two were counted", n)
		}
	})
}

// A database that does not answer delays no command, and counts as no contact after a
// while.
func TestRatesSharedDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silence := &silentCounts{}
		r := &Rates{Rates: []Rate{{Messages: 10}}, Shared: silence}
		r.Agent()
		begun := time.Now()
		for range 6 {
			if !r.counters[0].take("alice", 1, 0, time.Now()) {
				t.Error("refused")
			}
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("took %v", d)
		}
		time.Sleep(ratesTimeout + time.Second)
		if r.counters[0].take("alice", 1, 0, time.Now()) {
			t.Error("more than the half of the limit is accepted without contact")
		}
		silence.over.Store(true)
		time.Sleep(time.Minute)
	})
}

type silentCounts struct{ over atomic.Bool }

func (s *silentCounts) AddCounts(ctx context.Context, counts []queue.SharedCount) ([]queue.SharedCount, error) {
	if s.over.Load() {
		return counts, nil
	}
	<-ctx.Done()
	return nil, errors.Join(queue.ErrUnavailable, ctx.Err())
}

func (*silentCounts) Members() int { return 2 }

// Many keys are told in several exchanges. Those that were removed for lack of room are
// not told.
func TestRatesSharedManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sharedRates(Rate{Messages: 2}, "a", "b")
		for i := range ratesKeys + 10 {
			nodes[0].take(fmt.Sprint(i), 2, 0)
		}
		time.Sleep(time.Second)
		for i := range ratesKeys + 10 {
			nodes[1].take(fmt.Sprint(i), 0, 0) // learns the count
		}
		time.Sleep(time.Second)
		for i := range ratesKeys + 10 {
			if nodes[1].take(fmt.Sprint(i), 1, 0) {
				t.Fatalf("the count of key %d is not known to the other node", i)
			}
		}
		time.Sleep(time.Second)
		c := nodes[0].rates.counters[0]
		c.windows.max = 1
		for i := range 5 {
			nodes[0].take(fmt.Sprint("new", i), 1, 0)
		}
		time.Sleep(time.Second)
		if c.hasDirty() {
			t.Error("removed keys are told for ever")
		}
	})
}
