package queue

import (
	"math/rand/v2"
	"time"
)

// A RetryPolicy says how long to wait between attempts and when to give up.
// It must be safe for concurrent use and must not block. [Retry] is one made
// of data.
type RetryPolicy interface {
	// Wait is the time from the n-th attempt in vain (n counts from 1), which
	// brought last, to the next one. It serves for single recipients and,
	// where last.Outcome is Unreachable, for next hops as a whole.
	Wait(n int, last *Result) time.Duration

	// Lifetime says how long a message may wait, counted from its Received or
	// Release time, before its sender is told of the delay, and before it is
	// given up. A zero notice never tells; a zero expiry never gives up.
	Lifetime(m *Message) (notice, expiry time.Duration)
}

// Retry is a RetryPolicy as data. The zero value is Exchange 2000's.
type Retry struct {
	// Intervals between attempts; the last one is used again and again.
	// Default 10, 10, 10, then every 15 minutes (Exchange 2000).
	Intervals []time.Duration
	// ByClass has other intervals for some classes of failure.
	ByClass map[Class][]time.Duration
	// Jitter moves each interval by up to this fraction of it, up or down, so
	// that what failed together does not come again together. Default 0.1; a
	// negative value is none.
	Jitter float64
	// DelayNotice is when the sender is told that a message waits. Default 12
	// hours (Exchange 2000); negative is never.
	DelayNotice time.Duration
	// Expiry is when a message is given up. Default 2 days (Exchange 2000).
	Expiry time.Duration
	// Low and High replace DelayNotice and Expiry for messages with a Priority
	// below and above 0, where they are set.
	Low, High *Lifetime
}

// Lifetime is a pair of times for [Retry].
type Lifetime struct{ DelayNotice, Expiry time.Duration }

// The figures of Exchange 2000's delivery tab.
var exchangeIntervals = []time.Duration{10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 15 * time.Minute}

const (
	exchangeNotice = 12 * time.Hour
	exchangeExpiry = 48 * time.Hour
	defaultJitter  = 0.1
	shortestRetry  = time.Second // whatever a policy says: no busy loop
)

// Wait implements RetryPolicy.
func (r Retry) Wait(n int, last *Result) time.Duration {
	intervals := r.Intervals
	if last != nil && r.ByClass != nil {
		if of, ok := r.ByClass[last.Class()]; ok {
			intervals = of
		}
	}
	if len(intervals) == 0 {
		intervals = exchangeIntervals
	}
	d := intervals[min(max(n, 1), len(intervals))-1]
	jitter := r.Jitter
	if jitter == 0 {
		jitter = defaultJitter
	}
	if jitter > 0 {
		d += time.Duration(float64(d) * min(jitter, 1) * (2*rand.Float64() - 1))
	}
	return d
}

// Lifetime implements RetryPolicy.
func (r Retry) Lifetime(m *Message) (notice, expiry time.Duration) {
	notice, expiry = r.DelayNotice, r.Expiry
	switch {
	case m.Priority < 0 && r.Low != nil:
		notice, expiry = r.Low.DelayNotice, r.Low.Expiry
	case m.Priority > 0 && r.High != nil:
		notice, expiry = r.High.DelayNotice, r.High.Expiry
	}
	if notice == 0 {
		notice = exchangeNotice
	}
	if expiry == 0 {
		expiry = exchangeExpiry
	}
	return max(notice, 0), max(expiry, 0)
}
