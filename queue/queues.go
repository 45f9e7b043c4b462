package queue

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// QueueStatus is the status of a next hop.
type QueueStatus uint8

const (
	QueueReady      QueueStatus = iota + 1 // can deliver; no delivery in progress
	QueueActive                            // deliveries in progress
	QueueRetry                             // could not be reached; waits for the next probe
	QueueConnecting                        // the probe is in progress
	QueueSuspended                         // suspended by an operator
	QueueScheduled                         // closed by the Deliverer (Pace.Held): outside its schedule, or waits for a request
	QueueAside                             // not a next hop: messages that are set aside for an operator
)

// String returns "ready", "active", "retry", "connecting", "suspended",
// "scheduled" or "aside".
func (s QueueStatus) String() string {
	return [...]string{"", "ready", "active", "retry", "connecting", "suspended", "scheduled", "aside", ""}[min(s, QueueAside+1)]
}

// QueueInfo describes one next hop and its mail. It is a copy.
type QueueInfo struct {
	Hop    NextHop
	Status QueueStatus
	// Stored is the number of messages that the store keeps for the hop, and
	// Bytes is their size. InMemory is the number of parts of active messages
	// for the hop. Stored may include active messages. The store keeps
	// messages that wait for several hops under the zero NextHop.
	Stored   int
	Bytes    int64
	InMemory int
	// Deferred is the number of the stored messages that have had an attempt and
	// wait for another. It is 0 if the Store is not a [Searcher].
	Deferred int
	// In and Out are the numbers of messages in the last minute that were
	// routed to the hop, and that were delivered or failed there. A message with
	// more than HopLimits.Recipients counts as several. After a restart, mail
	// that was in the store counts as routed when the Queue first claims it.
	In, Out float64
	// Deliveries is the number of deliveries in progress. Concurrency is the
	// maximum number that the Queue allows now: it adapts to what the hop
	// accepts. MaxConcurrency is the maximum that HopLimits.Concurrency and
	// Pace.MaxConcurrency allow.
	Deliveries, Concurrency, MaxConcurrency int
	// Oldest is when the oldest of the stored messages was received.
	Oldest time.Time
	// LastError is the result of the last attempt that made recipients wait:
	// the hop could not be reached or has deferred the message. LastErrorAt is
	// the time of that attempt. LastAttempt is the time of the last attempt, and
	// LastSuccess that of the last one that has delivered mail. NextRetry is when
	// the Queue tries again, if the hop could not be reached or all of its
	// messages wait. The times are zero if the Queue does not know them.
	LastError                Result
	LastErrorAt              time.Time
	LastAttempt, LastSuccess time.Time
	NextRetry                time.Time
	// Counts are the totals since Since. They are reset when the hop has had
	// no mail for some time.
	Counts HopCounts
	Since  time.Time
	// Suspension is what suspends the hop, itself or its domain. It is nil if
	// nothing does. If both do, it is the one of the hop.
	Suspension *Suspension
	// Limit is why the mail of the hop waits now.
	Limit Limit
}

// Velocity is the change of the number of messages per minute: Out minus In. A
// queue with a negative velocity grows. (Exchange)
func (i *QueueInfo) Velocity() float64 { return i.Out - i.In }

// Queues lists the next hops that have mail or a state, in the order of
// destination and connector. It reads the index of the store, but no message.
func (q *Queue) Queues(ctx context.Context) ([]QueueInfo, error) {
	q.setup()
	sums, err := q.Store.Hops(ctx)
	if err != nil {
		return nil, err
	}
	bySum := make(map[NextHop]*HopSum, len(sums))
	for i := range sums {
		bySum[sums[i].Hop] = &sums[i]
	}
	var suspensions suspensionList
	var all []QueueInfo
	var limits []hopLimit
	q.locked(func(core *sched.Scheduler) {
		add := func(hop NextHop) {
			i := QueueInfo{Hop: hop}
			limits = append(limits, q.describeHop(core, &i, bySum[hop]))
			all = append(all, i)
			delete(bySum, hop)
		}
		core.Hops(func(h *sched.Hop) { add(NextHop(h.Key)) })
		for hop := range bySum {
			add(hop)
		}
		suspensions = maps.Clone(q.susp.list)
	})
	for i := range all {
		all[i].Suspension = suspensions.of(all[i].Hop)
		q.limit(&all[i], limits[i])
	}
	slices.SortFunc(all, func(a, b QueueInfo) int {
		return cmp.Or(cmp.Compare(a.Hop.Destination, b.Hop.Destination), cmp.Compare(a.Hop.Connector, b.Hop.Connector))
	})
	return all, nil
}

// describeHop sets the fields of i.Hop, which has the totals sum, or none. It is
// called in a step. The result is for limit, to be called later.
func (q *Queue) describeHop(core *sched.Scheduler, i *QueueInfo, sum *HopSum) (l hopLimit) {
	i.Status = QueueReady
	if aside(i.Hop) {
		i.Status = QueueAside
	}
	if sum != nil {
		i.Stored, i.Bytes, i.Oldest, i.Deferred, l.due = sum.Count, sum.Bytes, sum.Oldest, sum.Deferred, sum.Due
	}
	h := core.Hop(sched.Key(i.Hop))
	l.kind = limitKinds[core.LimitOf(q.clock.now(), h)]
	if h != nil {
		i.describe(h, &q.clock)
		l.hop = HopLimits(h.Limits())
	}
	return l
}

// describe sets the fields that the scheduler knows. It is called in a step.
func (i *QueueInfo) describe(h *sched.Hop, c *clock) {
	info, data := h.Info(), hopData(h)
	i.InMemory, i.Deliveries, i.Concurrency = info.Queued+info.Inflight, info.Inflight, info.Window
	i.LastError, i.LastErrorAt, i.NextRetry = data.failure, c.wallOf(data.failedAt), c.wallOf(info.Next)
	i.LastAttempt, i.LastSuccess = c.wallOf(data.triedAt), c.wallOf(data.deliveredAt)
	now := c.now()
	i.In, i.Out, i.MaxConcurrency = data.in.perMinute(now), data.out.perMinute(now), info.Most
	i.Counts, i.Since = data.counts, data.since
	i.Status = queueStatus(info.State)
}

func queueStatus(s sched.State) QueueStatus {
	return [...]QueueStatus{sched.Idle: QueueReady, sched.Working: QueueActive, sched.Suspended: QueueSuspended,
		sched.Closed: QueueScheduled, sched.Dead: QueueRetry, sched.Connecting: QueueConnecting}[s]
}
