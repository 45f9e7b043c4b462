package routing

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Pace implements queue.Pacer. The mail waits without attempts at times outside
// the schedule of a connector, and while held mail has not been requested.
func (r *Router) Pace(hop queue.NextHop) queue.Pace {
	c := r.table().byName[hop.Connector]
	if c == nil {
		return queue.Pace{}
	}
	p := queue.Pace{MaxConcurrency: c.MaxConcurrency, Retry: c.Retry, DelayNotice: c.Notice, Expiry: c.Expire}
	p.Held, p.Until = r.held(c, hop)
	if c.Hold {
		if n := r.releases.sessions(hop, time.Now()); n > 0 {
			p.MaxConcurrency, p.PerNode = n, true // each connection carries one message at a time
		}
	}
	return p
}

var _ queue.Releaser = (*Router)(nil)

// Release implements queue.Releaser: it releases the mail of a connector with OnDemand,
// and the mail of one next hop of a connector with a schedule. Held mail (Hold) is only
// for clients to request.
func (r *Router) Release(hop queue.NextHop) {
	c := r.table().byName[hop.Connector]
	if c == nil || c.Hold {
		return
	}
	now := time.Now()
	if c.OnDemand {
		r.releases.add(now, &release{connector: c.Name, until: now.Add(releaseTime)})
	}
	if c.scheduleFor(hop) != nil {
		r.releases.force(hop, now)
	}
}

// heldBack reports whether mail for this hop would have to wait.
func (r *Router) heldBack(c *connector, hop queue.NextHop) bool {
	if !c.Hold && !c.OnDemand && c.Schedule == nil && c.OversizeSchedule == nil {
		return false
	}
	held, _ := r.held(c, hop)
	return held
}

// held reports whether a hop's mail waits, and until when by the wall clock if that is
// known.
func (r *Router) held(c *connector, hop queue.NextHop) (bool, time.Time) {
	if c.Hold || c.OnDemand {
		if asked, _ := r.releases.has(hop, time.Now()); !asked {
			return true, time.Time{}
		}
	}
	s, now := c.scheduleFor(hop), r.Clock.Now()
	if s.Open(now) || r.releases.isForced(hop, time.Now()) {
		return false, time.Time{}
	}
	return true, s.NextOpen(now)
}

// scheduleFor returns the schedule of a hop's mail.
func (c *connector) scheduleFor(hop queue.NextHop) *Schedule {
	if _, large := cutOversize(hop.Destination); large {
		return c.OversizeSchedule
	}
	return c.Schedule
}

// notRequested is the result for mail of a Hold connector that reaches Deliver
// but was not requested.
func notRequested() queue.Result {
	return queue.Result{Outcome: queue.Unreachable, Reply: smtp.SMTPError{Code: 451,
		EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "Held until the receiver requests it"}}
}

// A release is a request for held mail of one connector, for one domain or
// all.
type release struct {
	connector string
	domain    string // empty for all
	below     bool   // includes the subdomains of domain
	whole     bool   // the connector has one queue for all domains
	until     time.Time
	session   *ReverseSession // the reversed connection; nil for an ordinary delivery
	failed    bool            // an attempt has failed: the next request wakes the queue again
}

// open reports whether the release is still valid. A release for a reversed
// connection is valid as long as the connection.
func (l *release) open(now time.Time) bool { return l.session != nil || now.Before(l.until) }

func (l *release) covers(hop queue.NextHop) bool {
	if l.connector != hop.Connector {
		return false
	}
	d, _ := cutOversize(hop.Destination)
	return l.whole || l.domain == "" || d == l.domain || l.below && strings.HasSuffix(d, "."+l.domain)
}

// same reports whether two releases are for the same mail and the same
// connection.
func (l *release) same(o *release) bool {
	return l.connector == o.connector && l.domain == o.domain && l.below == o.below && l.session == o.session
}

// releases are the requests that are still valid.
type releases struct {
	mu     sync.Mutex // guards the fields below
	all    []*release
	forced map[queue.NextHop]time.Time // until when a hop does not wait for its schedule
}

// maxReleases is the maximum number of releases; the oldest are dropped. maxForced is
// the maximum number of next hops that do not wait for their schedule.
const (
	maxReleases = 1000
	maxForced   = 10_000
)

// force makes the mail of a hop independent of its schedule for releaseTime.
func (rs *releases) force(hop queue.NextHop, now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.forced == nil {
		rs.forced = make(map[queue.NextHop]time.Time)
	}
	if len(rs.forced) >= maxForced {
		maps.DeleteFunc(rs.forced, func(_ queue.NextHop, until time.Time) bool { return !now.Before(until) })
	}
	if _, known := rs.forced[hop]; known || len(rs.forced) < maxForced {
		rs.forced[hop] = now.Add(releaseTime)
	}
}

func (rs *releases) isForced(hop queue.NextHop, now time.Time) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return now.Before(rs.forced[hop])
}

// add adds releases, in place of older ones for the same mail. It reports
// whether all of them were added only a short time before.
func (rs *releases) add(now time.Time, added ...*release) (again bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	fresh := 0
	rs.all = slices.DeleteFunc(rs.all, func(l *release) bool {
		same := slices.ContainsFunc(added, l.same)
		if same && !l.failed && now.Before(l.until.Add(releaseAgain-releaseTime)) {
			fresh++
		}
		return same || !l.open(now)
	})
	rs.all = append(rs.all, added...)
	if n := len(rs.all) - maxReleases; n > 0 {
		rs.all = slices.Delete(rs.all, 0, n)
	}
	return fresh == len(added)
}

func (rs *releases) end(t *ReverseSession) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = slices.DeleteFunc(rs.all, func(l *release) bool { return l.session == t })
}

// has reports whether a hop's mail was requested. If it is to be sent over a
// reversed connection, has returns the latest: a client that reconnects may
// have lost the previous connection without notice.
func (rs *releases) has(hop queue.NextHop, now time.Time) (asked bool, session *ReverseSession) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range slices.Backward(rs.all) {
		if l.covers(hop) && l.open(now) {
			if asked = true; l.session != nil {
				return true, l.session
			}
		}
	}
	return asked, nil
}

// sessions returns the number of reversed connections that a hop's mail can use.
func (rs *releases) sessions(hop queue.NextHop, now time.Time) (n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range rs.all {
		if l.session != nil && l.covers(hop) && l.open(now) {
			n++
		}
	}
	return n
}

// fail records that an attempt to deliver a hop's mail has failed.
func (rs *releases) fail(hop queue.NextHop) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range rs.all {
		l.failed = l.failed || l.covers(hop)
	}
}
