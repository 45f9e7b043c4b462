package queue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// QueueStatus says how a next hop is doing.
type QueueStatus uint8

const (
	QueueReady      QueueStatus = iota + 1 // nothing in the way
	QueueActive                            // deliveries in progress
	QueueRetry                             // could not be reached; waits for the next probe
	QueueConnecting                        // the probe is on its way
	QueueSuspended                         // by an operator
	QueueScheduled                         // by the Deliverer: its hours, or until it is asked for
	QueueAside                             // no next hop: what is held for an operator
)

// String names the status in a word.
func (s QueueStatus) String() string {
	return [...]string{"", "ready", "active", "retry", "connecting", "suspended", "scheduled", "aside"}[min(s, QueueAside)]
}

// QueueInfo is what can be said of one next hop and its mail. It is a copy.
type QueueInfo struct {
	Hop    NextHop
	Status QueueStatus
	// Stored are the messages that the store keeps under the hop, and Bytes
	// their size; InMemory those that are in memory on their way to it. A
	// message in memory may be counted in Stored too. Messages that wait for
	// several hops are stored under the zero one.
	Stored   int
	Bytes    int64
	InMemory int
	// Deliveries are in progress now; Concurrency is how many may be.
	Deliveries, Concurrency int
	// Oldest is when the first of the stored messages that wait was received.
	Oldest time.Time
	// LastError is why the hop could not be reached the last time, LastErrorAt
	// when that was, NextRetry when it will be tried again.
	LastError   Result
	LastErrorAt time.Time
	NextRetry   time.Time
	// Counts are totals, and Since is when they began: rates are their
	// differences over time. They are forgotten some time after the last mail.
	Counts HopCounts
	Since  time.Time
}

// Queues lists the next hops for which there is mail or of which something is
// known, by destination and connector. It reads no message, except that
// Oldest takes a walk over the store's index.
func (q *Queue) Queues(ctx context.Context) ([]QueueInfo, error) {
	q.setup()
	sums, err := q.Store.Hops(ctx)
	if err != nil {
		return nil, err
	}
	infos := map[NextHop]*QueueInfo{}
	for _, s := range sums {
		infos[s.Hop] = &QueueInfo{Hop: s.Hop, Status: QueueReady, Stored: s.Count, Bytes: s.Bytes}
		if aside(s.Hop) {
			infos[s.Hop].Status = QueueAside
		}
	}
	for e, err := range q.Store.List(ctx, Query{}) {
		if err != nil {
			return nil, err
		}
		if i := infos[e.Schedule.Hop]; i != nil && (i.Oldest.IsZero() || e.Received.Before(i.Oldest)) {
			i.Oldest = e.Received
		}
	}
	q.locked(func(core *sched.Scheduler) {
		core.Hops(func(h *sched.Hop) {
			key := NextHop(h.Key)
			i := infos[key]
			if i == nil {
				i = &QueueInfo{Hop: key}
				infos[key] = i
			}
			i.describe(h)
		})
	})
	all := make([]QueueInfo, 0, len(infos))
	for _, i := range infos {
		all = append(all, *i)
	}
	slices.SortFunc(all, func(a, b QueueInfo) int {
		return cmp.Or(cmp.Compare(a.Hop.Destination, b.Hop.Destination), cmp.Compare(a.Hop.Connector, b.Hop.Connector))
	})
	return all, nil
}

// describe fills in what the scheduler knows of a hop. It is called in a step.
func (i *QueueInfo) describe(h *sched.Hop) {
	info, data := h.Info(), hopData(h)
	i.InMemory, i.Deliveries, i.Concurrency = info.Queued+info.Inflight, info.Inflight, info.Window
	i.LastError, i.LastErrorAt, i.NextRetry = data.last, info.DownAt, info.Next
	i.Counts, i.Since = data.counts, data.since
	i.Status = [...]QueueStatus{sched.Idle: QueueReady, sched.Working: QueueActive, sched.Suspended: QueueSuspended,
		sched.Closed: QueueScheduled, sched.Dead: QueueRetry, sched.Connecting: QueueConnecting}[info.State]
}

// SuspendQueue keeps all mail for a next hop waiting until ResumeQueue, or
// until the Queue ends; attempts in progress go on. The Store does not know of
// it (messages that [Suspend] holds it does keep): for a hop that is to stay
// suspended over a restart, call SuspendQueue again before Run, so that
// nothing gets through in between.
func (q *Queue) SuspendQueue(hop NextHop) {
	q.setup()
	limits := q.hopLimits(hop)
	q.step(func(core *sched.Scheduler) {
		core.Suspend(time.Now(), sched.Key(hop), sched.HopLimits(limits))
	})
	q.emit(EventOperation, nil, nil, func(e *Event) { e.Hop, e.Text = hop, "suspend queue" })
}

// ResumeQueue undoes SuspendQueue.
func (q *Queue) ResumeQueue(hop NextHop) {
	q.setup()
	q.step(func(core *sched.Scheduler) {
		core.Resume(time.Now(), sched.Key(hop))
	})
	q.emit(EventOperation, nil, nil, func(e *Event) { e.Hop, e.Text = hop, "resume queue" })
}
