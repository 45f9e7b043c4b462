package smtpclient

import (
	"errors"
	"time"
)

const (
	// hurryTimeout is the longest timeout of a phase for a message with Hurry.
	// Hosts that work answer within it: Postfix uses the same time when it is
	// overloaded (smtpd_timeout under stress). Each silent host then keeps its
	// sender 10 seconds instead of minutes.
	hurryTimeout = 10 * time.Second
	// hurryBlock is the maximum number of octets of one write of content with
	// Hurry, so that a link of 1.6 KiB/s is fast enough for hurryTimeout.
	hurryBlock = 16 << 10

	// attemptTime and attemptRate are the defaults of Transport.AttemptTime and
	// AttemptRate.
	attemptTime = 30 * time.Minute
	attemptRate = 1 << 10
)

// errAttemptTime means that an attempt has used up its time.
var errAttemptTime = errors.New("the attempt took longer than its limit (see Transport.AttemptTime)")

// bounds limit the deadlines of a connection, until the end of data was sent.
// The zero value does not limit them.
type bounds struct {
	end   time.Time     // no deadline is later; zero means no limit
	phase time.Duration // no timeout is longer; 0 means no limit
}

// bounds returns the bounds of one Send.
func (t *Transport) bounds(m *Message, now time.Time) (b bounds) {
	if m.Hurry {
		b.phase = hurryTimeout
	}
	if t.AttemptTime < 0 || m.Content == nil {
		return b
	}
	limit := or(t.AttemptTime, attemptTime)
	if rate := or(t.AttemptRate, attemptRate); rate > 0 {
		limit += time.Duration(m.Content.Size() / rate * int64(time.Second))
	}
	b.end = now.Add(limit)
	return b
}

// over reports whether the attempt has used up its time.
func (b *bounds) over(now time.Time) bool { return !b.end.IsZero() && !now.Before(b.end) }

// deadline returns the deadline of a phase with the timeout d.
func (b *bounds) deadline(now time.Time, d time.Duration) time.Time {
	if b.phase > 0 {
		d = min(d, b.phase)
	}
	at := now.Add(d)
	if !b.end.IsZero() && b.end.Before(at) {
		return b.end
	}
	return at
}
