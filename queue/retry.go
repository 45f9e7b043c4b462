package queue

import (
	"math/rand/v2"
	"time"
)

// A RetryPolicy decides how long the Queue waits between attempts, when it
// sends the delay notice, and when a message expires. [Retry] is the standard
// implementation. The methods must be safe for concurrent use and must not
// block.
type RetryPolicy interface {
	// Wait returns the time from the n-th failed attempt to the next one. n
	// counts from 1, and last is the result of the failed attempt. The Queue
	// calls Wait for single recipients and, if last.Outcome is Unreachable,
	// for the next hop as a whole.
	Wait(n int, last *Result) time.Duration

	// Lifetime returns two times for m. After notice the sender gets a delay
	// notice, and after expiry m expires. Both count from m.Received or, if
	// that is later, from m.Options.Release. If notice is zero, the sender gets no
	// delay notice. If expiry is zero, m never expires.
	Lifetime(m *Message) (notice, expiry time.Duration)
}

// Retry is a RetryPolicy with fixed settings. The zero value has the defaults
// of Exchange 2000.
type Retry struct {
	// Intervals are the times between attempts. The last one repeats. Default:
	// three times 10 minutes, then every 15 minutes (Exchange 2000).
	Intervals []time.Duration
	// ByClass has intervals that replace Intervals after a failure of a class.
	ByClass map[Class][]time.Duration
	// Jitter is the largest random change of an interval, up or down, as a
	// fraction of the interval. It spreads the retries of mail that failed at
	// the same time. Default 0.1. A negative value means no change.
	Jitter float64
	// DelayNotice is the time after which the sender gets a delay notice.
	// Default 12 hours (Exchange 2000). A negative value means no notice.
	DelayNotice time.Duration
	// Expiry is the queue lifetime: the time after which a message expires.
	// Default 2 days (Exchange 2000). A negative value means never. Mail that
	// waits for a next hop that does not answer can expire 15 minutes later,
	// because the Queue looks through it only that often.
	Expiry time.Duration
	// Low, if not nil, replaces DelayNotice and Expiry for messages with a
	// Priority below 0. High does the same for a Priority above 0. A zero field
	// there means 12 hours for DelayNotice and 2 days for Expiry.
	Low, High *Lifetime
}

// A Lifetime has the times after which a message gets a delay notice and
// expires. See [Retry].
type Lifetime struct{ DelayNotice, Expiry time.Duration }

// The defaults of Exchange 2000.
var exchangeIntervals = []time.Duration{10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 15 * time.Minute}

const (
	exchangeNotice = 12 * time.Hour
	exchangeExpiry = 48 * time.Hour
	defaultJitter  = 0.1
	shortestRetry  = time.Second // the least wait, so that no policy causes a busy loop
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
	case m.Options.Priority < 0 && r.Low != nil:
		notice, expiry = r.Low.DelayNotice, r.Low.Expiry
	case m.Options.Priority > 0 && r.High != nil:
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
