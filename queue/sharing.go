package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// This file asks the Store for this node's part of the limits that all nodes share: see
// LimitSharer. The scheduler says what the node needs, and uses what it gets.

const (
	// shareInterval is how often all demands are made.
	shareInterval = time.Second
	// shareSoon is the least time between two calls.
	shareSoon = 50 * time.Millisecond
	// sharePatience is how long there may be no answer before the node uses
	// LimitWithoutContact. Without contact, it begins nothing by then.
	sharePatience = 10 * time.Second
	// shareTimeout is the maximum duration of a call.
	shareTimeout = 5 * time.Second
)

// shareLimits asks for parts of the limits until ctx ends.
func (n *node) shareLimits(ctx context.Context) {
	tick := time.NewTicker(shareInterval)
	defer tick.Stop()
	answered := time.Now() // the last time
	for all := false; ; {
		select {
		case <-n.share:
			all = false
		case <-tick.C:
			all = true
		case <-ctx.Done():
			return
		}
		n.askShares(ctx, all, &answered)
		select {
		case <-time.After(shareSoon):
		case <-ctx.Done():
		}
	}
}

// askShares makes all demands, or those that are urgent.
func (n *node) askShares(ctx context.Context, all bool, answered *time.Time) {
	q := n.q
	var demands []sched.Demand
	q.step(func(core *sched.Scheduler) {
		if all && n.sharer.Members() > 1 {
			core.Trim(q.clock.now())
		}
		demands = core.Demands(q.clock.now(), all, MaxLimitDemands)
	})
	skip := len(demands)
	if skip > 0 {
		ctx, cancel := context.WithTimeout(ctx, shareTimeout)
		grants, err := n.sharer.ShareLimits(ctx, demandsOf(demands))
		cancel()
		if err == nil && len(grants) != len(demands) {
			err = fmt.Errorf("%d answers to %d demands", len(grants), len(demands))
		}
		if err != nil {
			skip = 0
			q.log.Warn("queue: this node has not got its part of the limits that all nodes share", "error", err)
		} else {
			*answered = time.Now()
			q.step(func(core *sched.Scheduler) { core.Shared(q.clock.now(), demands, grantsOf(grants)) })
		}
	} else {
		*answered = time.Now() // nothing was asked
	}
	if all && (skip == MaxLimitDemands || time.Since(*answered) >= sharePatience) {
		q.step(func(core *sched.Scheduler) {
			core.NotShared(q.clock.now(), skip, n.sharer.Members(), LimitWithoutContact)
		})
	}
}

// endShares gives back what the node has, because the Queue has ended.
func (n *node) endShares() {
	var demands []sched.Demand
	n.q.step(func(core *sched.Scheduler) { demands = core.EndShares() })
	ctx, cancel := context.WithTimeout(context.Background(), shareTimeout)
	defer cancel()
	for len(demands) > 0 {
		some := demands[:min(len(demands), MaxLimitDemands)]
		demands = demands[len(some):]
		if _, err := n.sharer.ShareLimits(ctx, demandsOf(some)); err != nil {
			return // the Store gives it back when it is closed
		}
	}
}

// demandsOf returns demands as the Store sees them.
func demandsOf(demands []sched.Demand) []LimitDemand {
	out := make([]LimitDemand, len(demands))
	for i, d := range demands {
		key := d.Hop.Key.Connector + "\x00" + d.Hop.Key.Destination
		out[i] = LimitDemand{Key: key, Slots: d.Slots, Have: d.Have, Want: d.Want, Rate: d.Rate, Begins: d.Begins}
	}
	return out
}

func grantsOf(grants []LimitGrant) []sched.Grant {
	out := make([]sched.Grant, len(grants))
	for i, g := range grants {
		out[i] = sched.Grant(g)
	}
	return out
}
