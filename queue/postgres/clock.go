package postgres

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A clock converts between the clock of the database and that of the Queue.
//
// The clocks of the nodes may differ by minutes. So the times ready and due of a message
// are by the clock of the database, which all nodes share. A time that the Queue gives
// to the Store is of one of two kinds. A Due with a Wait, a NextAttempt with a
// RetryWait and a LastAttempt are steady times of this node's Queue: ahead is added
// when they are written and subtracted when they are read. A Due without a Wait is a
// time of the wall clock and is stored as it is.
//
// The difference between the clock of the Queue and the monotonic clock of the process
// is constant: see queue.Claim.Now. The difference between the clock of the database and
// the monotonic clock is measured with each heartbeat, because the clock may be set.
type clock struct {
	mu       sync.Mutex
	began    time.Time // guarded by mu, like all below: a reading of the monotonic clock
	queue    time.Time // the time of the Queue's clock at began
	database time.Time // the time of the database's clock at began
	// uncertain is the largest error of database: half of the round trip that has
	// measured it.
	uncertain time.Duration
	// simulated means that the tests set the time: it is that of Claim.Now, for the
	// Queue and for the database.
	simulated bool
	now       time.Time // the simulated time, that of the last Claim or Next

	setBack atomic.Bool // the clock of the database may have been set back: see setback.go
}

// start sets the clock after a round trip as measured does. Until the Queue has told its
// own time, it is that of the wall clock.
func (c *clock) start(sent, received, database time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began, c.queue = sent, sent.Round(0)
	c.uncertain = received.Sub(sent) / 2
	c.database = database.Add(-c.uncertain)
}

// measured sets the clock of the database after a round trip that began at sent and
// ended at received (both with a monotonic reading). The database read its clock in
// between. step is how far the clock of the database has been set since the last
// call.
func (c *clock) measured(sent, received, database time.Time) (step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uncertain = received.Sub(sent) / 2
	middle := sent.Add(c.uncertain)
	atBegan := database.Add(-middle.Sub(c.began))
	step = atBegan.Sub(c.database)
	c.database = atBegan
	if step < -setBackSlack {
		c.setBack.Store(true)
	}
	return step
}

// learn sets the clock of the Queue: it is at now, the Claim.Now of a call.
func (c *clock) learn(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.simulated {
		c.now = now
		return
	}
	c.queue = now.Add(-time.Since(c.began))
}

// ahead returns how far the clock of the database is ahead of that of the Queue.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.simulated {
		return 0
	}
	return c.database.Sub(c.queue)
}

// queueNow returns the time of the Queue's clock.
func (c *clock) queueNow() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.simulated {
		return c.now
	}
	return c.queue.Add(time.Since(c.began))
}

// databaseNow returns the time of the database's clock as this node knows it: for a
// decision that costs no round trip.
func (c *clock) databaseNow() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.simulated {
		return c.now
	}
	return c.database.Add(time.Since(c.began))
}

// databaseLatest returns the latest time that the database's clock may have now: what is
// due by it may be due.
func (c *clock) databaseLatest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.simulated {
		return c.now
	}
	return c.database.Add(time.Since(c.began) + c.uncertain)
}

// fixed is the parameter $now of a statement: nil means the clock of the database.
func (c *clock) fixed() *int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.simulated {
		return nil
	}
	n := nanos(c.now)
	return &n
}

// fixedAtOnce is the parameter $now of a statement that makes messages due: like fixed,
// but in simulated time it is what atOnce returns.
func (c *clock) fixedAtOnce() *int64 {
	if c.fixed() == nil {
		return nil
	}
	n := c.atOnce()
	return &n
}

// atOnce is the column ready of a message without a due time. Among messages of one
// priority, the one that has waited longest comes first, so it is the present time, or so
// shortly before it that the message can be claimed by the clock of the database.
// In simulated time, which Put does not know, it is the beginning of time.
func (c *clock) atOnce() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.simulated {
		return math.MinInt64
	}
	return nanos(c.database.Add(time.Since(c.began) - c.uncertain))
}

// due returns the columns ready, due and wait of a message with the schedule s that is
// not leased. due is nil for a message without a due time.
func (c *clock) due(s queue.Schedule) (ready int64, due *int64, wait int64) {
	if s.Due.IsZero() {
		return c.atOnce(), nil, int64(max(s.Wait, 0))
	}
	n := nanos(s.Due)
	if s.Wait > 0 {
		n = nanos(s.Due.Add(c.ahead()))
	}
	return n, &n, int64(max(s.Wait, 0))
}

// resets reports whether a message with the schedule s must be made due when this
// process ends: it is volatile, and its column due is still in the future. Usually due is
// not, for example while mail for a dead next hop waits for the hop. So a takeover need
// not write these rows.
func (c *clock) resets(s queue.Schedule, due *int64) bool {
	return s.Volatile && due != nil && *due > nanos(c.databaseNow())
}

// schedule returns Due and Wait of the schedule with the columns due and wait.
func (c *clock) schedule(due *int64, wait int64) queue.Schedule {
	s := queue.Schedule{Wait: time.Duration(wait)}
	if due == nil {
		return s
	}
	s.Due = timeOf(*due)
	if wait > 0 {
		s.Due = s.Due.Add(-c.ahead())
	}
	return s
}

// nanos returns t in nanoseconds since 1970, 0 for the zero time. A time that 64 bits
// cannot represent (before 1678 or after 2261) becomes the nearest one that they can.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// timeOf is the inverse of nanos.
func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
