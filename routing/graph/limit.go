package graph

import (
	"context"
	"sync"
	"time"
)

const (
	// maxWait is how long an attempt waits for the rate of a mailbox, or for the time
	// that Retry-After names: a little longer than the minute of the rate.
	maxWait = 65 * time.Second
	// maxRetryAfter is the longest time for which Retry-After is obeyed.
	maxRetryAfter = time.Hour
	// mailboxesKept is the number of mailboxes above which idle ones are forgotten.
	mailboxesKept = 1000
)

// mailboxes has the limits of each mailbox.
type mailboxes struct {
	slots, rate int

	mu    sync.Mutex // guards all below, and the fields of each mailbox
	known map[string]*mailbox
}

// A mailbox has the state of the limits of one mailbox.
type mailbox struct {
	active int
	sent   []time.Time // the last requests, the oldest first: at most rate
	until  time.Time   // no request before
}

// acquire takes a slot of a mailbox. ok is false if all are in use.
func (l *mailboxes) acquire(name string) (box *mailbox, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if box = l.known[name]; box == nil {
		l.forget(time.Now())
		if l.known == nil {
			l.known = make(map[string]*mailbox)
		}
		box = new(mailbox)
		l.known[name] = box
	}
	if box.active >= l.slots {
		return nil, false
	}
	box.active++
	return box, true
}

// forget removes the mailboxes without a request in the last minute, if many are
// known. The number of deliveries at a time bounds the others.
func (l *mailboxes) forget(now time.Time) {
	if len(l.known) < mailboxesKept {
		return
	}
	for name, box := range l.known {
		if n := len(box.sent); box.active == 0 && now.After(box.until) && (n == 0 || now.Sub(box.sent[n-1]) > time.Minute) {
			delete(l.known, name)
		}
	}
}

func (l *mailboxes) release(box *mailbox) {
	l.mu.Lock()
	defer l.mu.Unlock()
	box.active--
}

// hold permits no request for a mailbox for a time.
func (l *mailboxes) hold(box *mailbox, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(min(d, maxRetryAfter)); until.After(box.until) {
		box.until = until
	}
}

// held returns for how long no request is permitted, because of Retry-After.
func (l *mailboxes) held(box *mailbox) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(box.until)
}

// wait waits until a request may be sent, and counts it. It returns false if that
// would take longer than maxWait, or if ctx ends.
func (l *mailboxes) wait(ctx context.Context, box *mailbox) bool {
	deadline := time.Now().Add(maxWait)
	for {
		at, now := l.next(box), time.Now()
		if !at.After(now) {
			return ctx.Err() == nil
		}
		if at.After(deadline) || !sleep(ctx, at.Sub(now)) {
			return false
		}
	}
}

// next counts a request and returns the zero time if it may be sent now. Otherwise it
// returns when to ask again.
func (l *mailboxes) next(box *mailbox) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if box.until.After(now) {
		return box.until
	}
	if len(box.sent) >= l.rate {
		if free := box.sent[0].Add(time.Minute); free.After(now) {
			return free
		}
		box.sent = append(box.sent[:0], box.sent[1:]...)
	}
	box.sent = append(box.sent, now)
	return time.Time{}
}

// sleep waits. It returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
