package smtpclient

import (
	"errors"
	"sync"
	"time"
)

const (
	// maxDown bounds the failures that are remembered.
	maxDown = 10000
	// downMemory is how long a failure is remembered. It is longer than the
	// usual time between two attempts, so that the next one can begin with
	// other addresses.
	downMemory = 24 * time.Hour
)

// A downKey is what failed: an address for all mail, or, with a destination,
// an address for the mail of that destination. What a destination's policies or
// credentials make of a host says nothing about the host: otherwise a domain
// that publishes a policy for another domain's host could divert the mail of
// that domain.
type downKey struct {
	addr string
	dst  key
}

// failure is when no session came about, and until when the address comes
// after all others.
type failure struct{ at, until time.Time }

// suspect says whether there was a failure, and other addresses need no longer
// come before this one.
func (f failure) suspect(now time.Time) bool { return !f.at.IsZero() && !now.Before(f.until) }

// downList remembers addresses with which no session came about.
type downList struct {
	mu     sync.Mutex // guards failed
	failed map[downKey]failure
}

// markDown remembers that no session with tg came about: c, which may be nil,
// is how far it came.
func (t *Transport) markDown(dst *Destination, tg *target, c *Client, err error) {
	k := downKey{addr: tg.addr}
	var policy *TLSError
	if c != nil && c.helo != "" || errors.As(err, &policy) || errors.Is(err, errHandshake) {
		k.dst = t.key(dst) // the host speaks, but not as this destination needs it
	}
	t.down.add(k, time.Now(), or(t.HostDownTime, time.Minute))
}

func (d *downList) add(k downKey, now time.Time, forTime time.Duration) {
	if forTime <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = make(map[downKey]failure)
	}
	if len(d.failed) >= maxDown {
		d.shrink(now)
	}
	d.failed[k] = failure{now, now.Add(forTime)}
}

// shrink drops the failures that matter least: those of some time ago, and as
// long as there are too many any others. Forgetting one costs a connection
// attempt. The caller holds mu.
func (d *downList) shrink(now time.Time) {
	for k, f := range d.failed {
		if f.suspect(now) {
			delete(d.failed, k)
		}
	}
	for k := range d.failed {
		if len(d.failed) <= maxDown-maxDown/8 {
			return
		}
		delete(d.failed, k)
	}
}

// last is the latest failure of the keys; the zero value where there is none.
func (d *downList) last(now time.Time, keys ...downKey) (latest failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		f, ok := d.failed[k]
		if ok && now.Sub(f.at) >= max(downMemory, f.until.Sub(f.at)) {
			delete(d.failed, k)
			ok = false
		}
		if ok && f.at.After(latest.at) {
			latest = f
		}
	}
	return latest
}

func (d *downList) remove(keys ...downKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		delete(d.failed, k)
	}
}
