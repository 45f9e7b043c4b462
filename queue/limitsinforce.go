package queue

import (
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// LimitsInForce returns Limits with the defaults of the fields that are not set, and
// the times of a [Retry], for package console in policy/gateway.
func (q *Queue) LimitsInForce() []site.Limit {
	q.setup()
	all := site.LimitsOf("", q.limits, func(_ string, n int64) bool { return n < 0 })
	r, is := q.retry.(Retry)
	if p, pointer := q.retry.(*Retry); pointer {
		r, is = *p, true
	}
	if !is {
		return all
	}
	notice, expiry := r.Lifetime(&Message{})
	return append(all, site.Time("Retry.DelayNotice", notice), site.Time("Retry.Expiry", expiry))
}
