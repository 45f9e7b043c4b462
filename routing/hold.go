package routing

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Pace implements queue.Pacer: mail waits, without costing attempts, while a
// connector's schedule is closed or nobody has asked for it.
func (r *Router) Pace(hop queue.NextHop) queue.Pace {
	c := r.table().byName[hop.Connector]
	if c == nil {
		return queue.Pace{}
	}
	p := queue.Pace{MaxConcurrency: c.MaxConcurrency, Retry: c.Retry, Notice: c.Notice, Expire: c.Expire}
	now := time.Now()
	p.Held, p.Until = r.held(c, hop, now)
	if c.Hold {
		if n := r.releases.turns(hop, now); n > 0 {
			p.MaxConcurrency = n // each connection carries one message at a time
		}
	}
	return p
}

// heldBack says whether mail that takes this way would have to wait.
func (r *Router) heldBack(c *connector, hop queue.NextHop) bool {
	if !c.Hold && c.Schedule == nil && c.OversizeSchedule == nil {
		return false
	}
	held, _ := r.held(c, hop, time.Now())
	return held
}

// held says whether a hop's mail waits, and until when where that is known.
func (r *Router) held(c *connector, hop queue.NextHop, now time.Time) (bool, time.Time) {
	if c.Hold {
		if asked, _ := r.releases.has(hop, now); !asked {
			return true, time.Time{}
		}
	}
	s := c.Schedule
	if _, large := cutOversize(hop.Destination); large {
		s = c.OversizeSchedule
	}
	if s.Open(now) {
		return false, time.Time{}
	}
	return true, s.Opens(now)
}

// notAsked is the result for mail of a Hold connector that reaches Deliver
// although nobody has asked for it.
func notAsked() queue.Result {
	return queue.Result{Outcome: queue.Unreachable, Reply: smtp.SMTPError{Code: 451,
		EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "Held until its receiver asks for it"}}
}

// A release is mail that somebody has asked for: of one connector, for one
// domain or all.
type release struct {
	connector string
	domain    string // empty for all
	below     bool   // and what is below the domain
	whole     bool   // the connector's queues are not by domain
	until     time.Time
	turn      *Turn // the connection that it goes over; nil for an ordinary one
	failed    bool  // an attempt has failed since: the next request starts the mail again
}

// open says whether it is not over: a connection that has turned round keeps
// it open for as long as it lasts.
func (l *release) open(now time.Time) bool { return l.turn != nil || now.Before(l.until) }

func (l *release) covers(hop queue.NextHop) bool {
	if l.connector != hop.Connector {
		return false
	}
	d, _ := cutOversize(hop.Destination)
	return l.whole || l.domain == "" || d == l.domain || l.below && strings.HasSuffix(d, "."+l.domain)
}

// same says whether two releases are of the same mail by the same way.
func (l *release) same(o *release) bool {
	return l.connector == o.connector && l.domain == o.domain && l.below == o.below && l.turn == o.turn
}

// releases are what was asked for and is not yet over.
type releases struct {
	mu  sync.Mutex // guards all
	all []*release
}

// maxReleases bounds what clients can make us remember; the oldest are
// forgotten.
const maxReleases = 1000

// add enters releases, in place of older ones for the same mail, and says
// whether all of them were entered only a moment ago.
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

func (rs *releases) end(t *Turn) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = slices.DeleteFunc(rs.all, func(l *release) bool { return l.turn == t })
}

// has says whether a hop's mail was asked for, and by which connection it goes
// if its receiver has turned one round: the latest, since a receiver that comes
// back may have lost the one before without our knowing.
func (rs *releases) has(hop queue.NextHop, now time.Time) (asked bool, turn *Turn) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range slices.Backward(rs.all) {
		if l.covers(hop) && l.open(now) {
			if asked = true; l.turn != nil {
				return true, l.turn
			}
		}
	}
	return asked, nil
}

// turns counts the connections that a hop's mail may go over.
func (rs *releases) turns(hop queue.NextHop, now time.Time) (n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range rs.all {
		if l.turn != nil && l.covers(hop) && l.open(now) {
			n++
		}
	}
	return n
}

// fail notes that an attempt to deliver a hop's mail has failed.
func (rs *releases) fail(hop queue.NextHop) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range rs.all {
		l.failed = l.failed || l.covers(hop)
	}
}
