package queue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// Totals describe all messages in the Store of a Queue at one time.
type Totals struct {
	// Time is when the messages were counted, by the wall clock.
	Time time.Time
	// Messages is the number of messages by status: MessageReady, MessageActive,
	// MessageRetry, MessageHeld, MessageSuspended, MessagePoison, MessageBad and
	// MessageResults. Bytes is the size of their content.
	Messages map[MessageStatus]int
	Bytes    int64
	// Oldest is the time of receipt of the oldest message that is ready, active or
	// waiting for a retry. It is zero if there is none. Messages that are held or set
	// aside do not count.
	Oldest time.Time
	// Ages counts the same messages by their age in seconds. The bounds are those of
	// qshape, in seconds: 5 minutes, 10, 20 and so on to 1280 minutes.
	Ages Histogram
	// Hops is the number of next hops by status, as [Queue.Queues] lists them.
	Hops map[QueueStatus]int
}

// Totals counts the messages in the Store. It reads its index, but no message: see
// [Walker].
//
// A result is used again by later calls, for a hundred times as long as it took to
// count, but for at most ten seconds. So frequent calls use at most about a hundredth
// of one processor.
//
// If counting takes longer than 20 ms, as with a million messages, a call does not
// wait for it. It returns the last result, if that is not older than a minute, and
// the messages are counted in the background for the next call.
func (q *Queue) Totals(ctx context.Context) (Totals, error) {
	q.setup()
	t := &q.totals
	last, fresh, usable := t.get(time.Now())
	if fresh {
		return last, nil
	}
	if usable {
		select {
		case t.counting <- struct{}{}:
			ctx := context.WithoutCancel(ctx)
			go func() {
				defer func() { <-t.counting }()
				ctx, cancel := context.WithTimeout(ctx, totalsUsable)
				defer cancel()
				q.recount(ctx) // after an error, a later call that waits returns it
			}()
		default: // another call counts
		}
		return last, nil
	}
	select {
	case t.counting <- struct{}{}:
		defer func() { <-t.counting }()
	case <-ctx.Done():
		return Totals{}, ctx.Err()
	}
	if last, fresh, _ := t.get(time.Now()); fresh { // another call has counted meanwhile
		return last, nil
	}
	return q.recount(ctx)
}

const (
	totalsShare  = 100
	totalsMost   = 10 * time.Second
	totalsQuick  = 20 * time.Millisecond // less than this is worth waiting for
	totalsUsable = time.Minute
)

// totals has the result of the last count.
type totals struct {
	counting chan struct{} // has one place, for the call that counts

	mu    sync.Mutex // guards the fields below
	last  Totals
	began time.Time     // when the count began
	took  time.Duration // how long it took
}

// get returns the last result. It is fresh if it need not be counted again, and usable
// if a call may return it while the messages are counted.
func (t *totals) get(now time.Time) (last Totals, fresh, usable bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		return Totals{}, false, false
	}
	age := now.Sub(t.began) - t.took
	return t.last.clone(), age < min(t.took*totalsShare, totalsMost), t.took > totalsQuick && age < totalsUsable
}

// recount counts the messages. The caller has the place of totals.counting.
func (q *Queue) recount(ctx context.Context) (Totals, error) {
	began := time.Now()
	last, err := q.count(ctx)
	if err != nil {
		return Totals{}, err
	}
	t := &q.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.began, t.took = last, began, time.Since(began)
	return last.clone(), nil
}

func (t Totals) clone() Totals {
	t.Messages, t.Hops = maps.Clone(t.Messages), maps.Clone(t.Hops)
	t.Ages.Counts = slices.Clone(t.Ages.Counts)
	return t
}

// count counts all messages.
func (q *Queue) count(ctx context.Context) (Totals, error) {
	wall, now := q.clock.wall(), q.clock.now()
	t := Totals{Time: wall, Messages: map[MessageStatus]int{}, Hops: map[QueueStatus]int{}}
	for _, s := range [...]MessageStatus{MessageReady, MessageActive, MessageRetry, MessageHeld, MessageSuspended, MessagePoison, MessageBad, MessageResults} {
		t.Messages[s] = 0
	}
	for s := QueueReady; s <= QueueAside; s++ {
		t.Hops[s] = 0
	}
	t.Ages.Bounds, t.Ages.Counts = ageBounds, make([]int64, len(ageBounds)+1)
	add := func(e *Entry) { t.add(e, wall, now) }
	if w, ok := q.Store.(Walker); ok {
		if err := w.Walk(ctx, add); err != nil {
			return t, err
		}
		return t, q.countHops(ctx, t.Hops)
	}
	for e, err := range q.Store.List(ctx, Query{}) {
		if err != nil {
			return t, err
		}
		if e.Schedule.Wait > 0 { // List need not set it
			e.Attempted = true
		}
		add(e)
	}
	return t, q.countHops(ctx, t.Hops)
}

// add counts a message. now is a time of the clock of leases.
func (t *Totals) add(e *Entry, wall, now time.Time) {
	status := e.Status(wall)
	if s := &e.Schedule; s.Owner != "" && s.Until.After(now) && (status == MessageReady || status == MessageRetry) {
		status = MessageActive
	}
	t.Messages[status]++
	t.Bytes += e.Size
	switch status {
	case MessageReady, MessageActive, MessageRetry:
		if t.Oldest.IsZero() || e.Received.Before(t.Oldest) {
			t.Oldest = e.Received
		}
		age := max(wall.Sub(e.Received), 0).Seconds()
		i, _ := slices.BinarySearch(ageBounds, age)
		t.Ages.Counts[i]++
		t.Ages.Sum += age
		t.Ages.Count++
	}
}

// ageBounds are the bounds of Totals.Ages, in seconds.
var ageBounds = []float64{300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800}

// countHops counts the next hops by status.
func (q *Queue) countHops(ctx context.Context, counts map[QueueStatus]int) error {
	sums, err := q.Store.Hops(ctx)
	if err != nil {
		return err
	}
	known := map[NextHop]bool{}
	q.locked(func(core *sched.Scheduler) {
		core.Hops(func(h *sched.Hop) {
			var i QueueInfo
			i.describe(h, &q.clock)
			counts[i.Status]++
			known[NextHop(h.Key)] = true
		})
	})
	for _, s := range sums {
		switch {
		case known[s.Hop]:
		case aside(s.Hop):
			counts[QueueAside]++
		default:
			counts[QueueReady]++
		}
	}
	return nil
}
