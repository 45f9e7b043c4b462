package smtpclient

import (
	"errors"
	"sync"
	"time"
)

const (
	// maxDown is the maximum number of failures that are remembered.
	maxDown = 10000
	// downMemory is how long a failure is remembered. It is longer than the
	// usual retry interval, so that the next attempt can begin with other
	// addresses.
	downMemory = 24 * time.Hour
)

// A downKey identifies what failed: an address for all mail, or if dst is set,
// an address for the mail of one destination. A failure that the policy or the
// credentials of a destination cause does not count for other destinations.
// Otherwise a domain that publishes a policy for the host of another domain
// could divert the mail of that domain.
type downKey struct {
	addr string
	dst  key
}

// failure is the time of a failure to open a session, and the time until which
// the address is tried after all others.
type failure struct{ at, until time.Time }

// suspect reports whether there was a failure and its time until has passed.
func (f failure) suspect(now time.Time) bool { return !f.at.IsZero() && !now.Before(f.until) }

// downList remembers the addresses with which no session could be opened.
type downList struct {
	mu     sync.Mutex // guards failed
	failed map[downKey]failure
}

// markDown remembers that no session with tg could be opened. c is the session
// that failed; it may be nil.
func (t *Transport) markDown(dst *Destination, tg *target, c *Client, err error) {
	k := downKey{addr: tg.addr}
	var policy *TLSError
	if c != nil && c.helo != "" || errors.As(err, &policy) || errors.Is(err, errHandshake) {
		k.dst = t.key(dst) // the host works, but not for this destination
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

// shrink drops failures whose time until has passed. If there are still too
// many, it drops others. A dropped failure costs one connection attempt. The
// caller holds mu.
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

// last returns the latest failure of the keys, or the zero value if there is
// none.
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
