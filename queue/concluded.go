package queue

import (
	"context"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A Cluster may record the end of a lease a moment after Update has returned. When
// another node retries the mail for a hop meanwhile, it finds messages that this node
// has leased, and leaves them to this node, which does not have them in memory any
// more. So this node remembers the messages that it has released lately, and retries
// them when the notice comes.

const (
	// concludedFor is how long a message is remembered.
	concludedFor = 2 * time.Second
	// maxConcluded is the maximum number of messages that are remembered.
	maxConcluded = 10_000
)

// A concluded is a message that waits for a retry, and that this node has released
// lately.
type concluded struct {
	id       string
	hop      NextHop // zero if it waits for several
	attempts int     // of all recipients
	at       time.Time
}

// concludedList has the messages that were released lately, in order.
type concludedList struct {
	mu   sync.Mutex
	list []concluded // guarded by mu
}

// add adds a message whose last record is about to be written.
func (l *concludedList) add(a *active, now time.Time) {
	_, key := a.Due()
	c := concluded{id: a.m.ID, hop: NextHop(key), attempts: attemptsOf(a.m), at: now}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
	if len(l.list) >= maxConcluded {
		l.list = l.list[1:]
	}
	l.list = append(l.list, c)
}

// forget removes the messages that were released long enough ago. The caller has the
// lock.
func (l *concludedList) forget(now time.Time) {
	n := 0
	for n < len(l.list) && now.Sub(l.list[n].at) > concludedFor {
		n++
	}
	if l.list = l.list[n:]; len(l.list) == 0 {
		l.list = nil
	}
}

// take removes the messages that wait for a wanted hop, or for several hops, and returns
// them.
func (l *concludedList) take(now time.Time, wanted func(NextHop) bool) (taken []concluded) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
	var left []concluded
	for _, c := range l.list {
		if c.hop == (NextHop{}) || wanted(c.hop) {
			taken = append(taken, c)
		} else {
			left = append(left, c)
		}
	}
	l.list = left
	return taken
}

// attemptsOf returns the number of attempts at a message.
func attemptsOf(m *Message) (n int) {
	for _, r := range m.Recipients {
		n += r.Attempts
	}
	return n
}

// retryConcluded makes messages due that this node has released lately, unless there was
// another attempt since.
func (q *Queue) retryConcluded(ctx context.Context, cs []concluded, wanted func(NextHop) bool) {
	hops := map[NextHop]bool{}
	matchRoute := func(h NextHop) bool {
		if !wanted(h) {
			return false
		}
		hops[h] = true
		return true
	}
	for _, c := range cs {
		if c.hop != (NextHop{}) {
			hops[c.hop] = true
		}
		if err := q.retryOneConcluded(ctx, c, matchRoute); err != nil && ctx.Err() == nil {
			q.log.Error("queue: a message cannot be retried", "id", c.id, "error", err)
		}
	}
	q.step(func(core *sched.Scheduler) {
		for hop := range hops {
			core.Retry(q.clock.now(), sched.Key(hop))
		}
		core.Stored(time.Time{})
	})
}

func (q *Queue) retryOneConcluded(ctx context.Context, c concluded, wanted func(NextHop) bool) error {
	e := &Entry{ID: c.id, Schedule: Schedule{Hop: c.hop}}
	for {
		early := false // the store has not recorded the attempt yet
		_, err := q.retryNow(ctx, e, func(m *Message, r *Recipient) bool {
			n := attemptsOf(m)
			early = n < c.attempts
			return n == c.attempts && (c.hop != (NextHop{}) || q.routedTo(ctx, m, r, wanted))
		})
		if err != nil || !early || q.clock.now().Sub(c.at) > concludedFor {
			return err
		}
		if err := pause(ctx, opWait); err != nil {
			return err
		}
	}
}
