package queue

import (
	"context"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A node is what a Queue does while it is one of several on a [Cluster]: it follows
// the notices of the others, and looks now and then at what it shares with them, in
// case notices are lost. All methods do nothing if there is no Cluster.
type node struct {
	q       *Queue
	cluster Cluster // nil: the Store is none
	// concluded has the messages that this node has released lately.
	concluded concludedList

	sharer LimitSharer   // nil: the Store is none
	share  chan struct{} // there is a demand that is urgent

	mu   sync.Mutex    // guards work
	work []func()      // what notices ask for and what needs the Store
	more chan struct{} // there is work
}

const (
	// attemptsInterval is how often the leases of attempts in progress are checked.
	attemptsInterval = time.Second
	// sharedInterval is how often the suspensions of a Cluster are read.
	sharedInterval = 3 * time.Second
)

// begin starts what the node does while the Queue runs. end ends it.
func (n *node) begin(ctx context.Context) (end func()) {
	if n.cluster == nil && n.q.leases == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	if n.cluster != nil {
		n.receivedSoFar()
		done.Go(func() { n.receive(ctx) })
		done.Go(func() { n.keepUp(ctx) })
		if n.sharer != nil {
			done.Go(func() { n.shareLimits(ctx) })
		}
	}
	done.Go(func() { n.checkAttempts(ctx) })
	return func() {
		cancel()
		done.Wait()
		if n.sharer != nil {
			n.endShares()
		}
	}
}

// receivedSoFar handles the notices that have come before the Queue runs, so that a
// node that drains claims nothing.
func (n *node) receivedSoFar() {
	for {
		select {
		case notice, open := <-n.cluster.Notices():
			if !open {
				return
			}
			n.handle(notice)
		default:
			return
		}
	}
}

// receive handles the notices. It does not wait for the Store, which may be away.
func (n *node) receive(ctx context.Context) {
	for {
		select {
		case notice, open := <-n.cluster.Notices():
			if !open {
				return
			}
			n.handle(notice)
		case <-ctx.Done():
			return
		}
	}
}

func (n *node) handle(notice Notice) {
	q := n.q
	switch notice.Kind {
	case NoticeMail:
		q.step(func(core *sched.Scheduler) { core.Stored(time.Time{}) })
	case NoticeRetry:
		q.retryHere(notice.Hops)
	case NoticeSuspensions:
		n.later(n.readSuspensions)
	case NoticeDrain:
		n.drain(true)
	case NoticeUndrain:
		n.drain(false)
	case NoticeLost:
		n.loseLeases()
	case NoticeContact:
		q.step(func(core *sched.Scheduler) { core.MendNow(q.clock.now()) })
	}
}

// later has keepUp do work that needs the Store.
func (n *node) later(work func()) {
	n.mu.Lock()
	n.work = append(n.work, work)
	n.mu.Unlock()
	select {
	case n.more <- struct{}{}:
	default:
	}
}

// keepUp does the work that needs the Store, and reads the suspensions now and then.
func (n *node) keepUp(ctx context.Context) {
	tick := time.NewTicker(sharedInterval)
	defer tick.Stop()
	for {
		select {
		case <-n.more:
		case <-tick.C:
			n.later(n.readSuspensions)
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		work := n.work
		n.work = nil
		n.mu.Unlock()
		for _, do := range work {
			do()
		}
	}
}

// readSuspensions brings the suspensions of this node up to date.
func (n *node) readSuspensions() {
	q := n.q
	if err := q.followSuspensions(q.ctx); err != nil && q.ctx.Err() == nil {
		q.log.Warn("queue: the suspensions cannot be read from the store", "error", err)
	}
}

// drain stops the deliveries of this node, and gives its messages to the others. Or it
// lets the node deliver again.
func (n *node) drain(drained bool) {
	q := n.q
	var left []*sched.Message
	todo := q.decide(nil, func(core *sched.Scheduler) {
		if core.Drained() == drained {
			return
		}
		left = core.Drain(q.clock.now(), drained)
		if drained {
			q.log.Info("queue: the node drains, the other nodes deliver its mail")
		} else {
			q.log.Info("queue: the node does not drain any more")
		}
	})
	n.later(func() {
		q.carryOut(todo)
		for _, m := range left {
			q.giveBack(activeOf(m))
		}
		if len(left) > 0 || len(todo) > 0 {
			n.notify(Notice{Kind: NoticeMail})
		}
	})
}

// loseLeases drops the active messages that this node does not lease any more.
func (n *node) loseLeases() {
	q, lost := n.q, 0
	q.step(func(core *sched.Scheduler) {
		core.LoseLeases(q.clock.now(), func(m *sched.Message) bool {
			a := activeOf(m)
			if n.cluster.MayFinish(a.owner, m.ID) == nil {
				return false // claimed since then
			}
			lost++
			return true
		})
	})
	q.log.Warn("queue: other nodes have taken over the messages of this node", "messages", lost)
}

// notify sends a notice to the other nodes.
func (n *node) notify(notice Notice) {
	if n.cluster != nil {
		n.cluster.Notify(notice)
	}
}

// notifyRetry tells the other nodes that the mail for hops is retried.
func (n *node) notifyRetry(hops []NextHop) {
	for n.cluster != nil && len(hops) > 0 {
		some := hops[:min(len(hops), MaxNoticeHops)]
		hops = hops[len(some):]
		n.notify(Notice{Kind: NoticeRetry, Hops: some})
	}
}

// retryHere retries the mail for hops that this node has in memory, because an
// operation on another node has retried them. None means all hops. The other node
// makes the mail due that no node has leased.
func (q *Queue) retryHere(hops []NextHop) {
	named := map[NextHop]bool{}
	for _, hop := range hops {
		named[hop] = true
	}
	wanted := func(hop NextHop) bool { return len(hops) == 0 || named[hop] }
	if q.releaseHop != nil {
		for _, hop := range union(q.knownHops(), hops) {
			if wanted(hop) {
				q.releaseHop(hop)
			}
		}
	}
	q.step(func(core *sched.Scheduler) {
		var keys []sched.Key
		core.Hops(func(h *sched.Hop) {
			if wanted(NextHop(h.Key)) {
				keys = append(keys, h.Key)
			}
		})
		core.Asked(keys)
		core.Messages(func(m *sched.Message) {
			if m.Waiting() == 0 {
				return
			}
			_, key := m.Due() // zero if it waits for several hops
			if key == (sched.Key{}) || wanted(NextHop(key)) {
				q.orderRetry(core, m)
			}
		})
		for _, key := range keys {
			core.Retry(q.clock.now(), key)
		}
		core.Stored(time.Time{})
	})
	if cs := q.node.concluded.take(q.clock.now(), wanted); len(cs) > 0 {
		q.node.later(func() { q.retryConcluded(q.ctx, cs, wanted) })
	}
}

// orderRetry orders a retry of an active message, unless it has another order or is
// about to end. It is called in a step.
func (q *Queue) orderRetry(core *sched.Scheduler, m *sched.Message) {
	if _, state := core.Order(m.ID); state != sched.Active {
		return
	}
	if a := activeOf(m); a.order == nil {
		op := RetryNow()
		a.order = &op
		m.Ordered()
	}
}
