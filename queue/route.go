package queue

import (
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// categorize asks the Deliverer for the way of each recipient that is due,
// makes parts of those that go the same way, and puts them into their hops'
// queues.
func (q *Queue) categorize(a *active) {
	now := time.Now()
	if q.poisonous(a) {
		a.waits(poisonHop, farFuture, farFuture)
		q.tell(EventPoison, a.m, a.m.Recipients, nil)
		q.place(a, nil, nil, now)
		return
	}
	a.patience = q.patience(a.m)
	q.begin(a)
	var few [1]group // for most messages, without an allocation
	groups := groups(few[:0])
	var ended []verdict // recipients that have no way now
	looked, circles := false, false
	for i, r := range a.m.Recipients {
		if r.owesSuccess() {
			a.succeeded = append(a.succeeded, r)
		}
		if r.Status != Waiting {
			continue
		}
		if r.NextAttempt.After(now) {
			a.waits(NextHop{}, r.NextAttempt, r.NextAttempt)
			a.mixed = true // it is not known for which hop
			continue
		}
		if r.Attempts == 0 && !looked {
			looked, circles = true, q.inCircles(a.m)
		}
		hop, res := q.way(a.m, r, circles)
		if res != nil {
			ended = append(ended, q.judge(a, r, hop, nil, res, now))
			continue
		}
		groups.add(hop, a.m.Recipients, i)
	}
	q.end(a)
	q.place(a, groups, ended, now)
}

// way is where the recipient's mail goes next, or the result of there being
// no way.
func (q *Queue) way(m *Message, r *Recipient, circles bool) (hop NextHop, res *Result) {
	if r.Attempts == 0 && circles {
		// 4.4.6 is what the Exchange of the documents says; RFC 3463's own
		// word for a loop is X.4.6 as well.
		return hop, refused(554, smtp.EnhancedCode{4, 4, 6}, "Hop count exceeded, the message goes in circles")
	}
	hop = r.Route
	if hop == (NextHop{}) {
		var err error
		if hop, err = q.callRoute(q.ctx, m, r); err != nil {
			return hop, unrouted(err)
		}
	}
	if addr.FoldDomain(hop.Destination) == addr.FoldDomain(q.host) {
		return hop, refused(554, smtp.EnhancedCode{5, 3, 5}, "The next hop is this host itself: it is configured to loop")
	}
	return hop, nil
}

// refused is a failure of our own making.
func refused(code int, enhanced smtp.EnhancedCode, text string) *Result {
	return &Result{Outcome: Failure, Reply: smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}}
}

// unrouted makes a result of Route's error.
func unrouted(err error) *Result {
	r := &Result{Outcome: Deferred, Err: err}
	var se *smtp.SMTPError
	if errors.As(err, &se) {
		r.Reply = *se
		if se.Code/100 == 5 {
			r.Outcome = Failure
		}
	} else {
		r.Reply = smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "Routing failed: " + err.Error()}
	}
	return r
}

// groups are recipients by their next hop.
type groups []group

type group struct {
	hop    NextHop
	first  int          // the index of the first recipient, and
	rcpts  []*Recipient // all of them: a part of the message's own list while
	copied bool         // they are neighbours there, a copy otherwise
	pace   pace
	limits HopLimits
}

// add notes that recipient i of all goes to hop.
func (gs *groups) add(hop NextHop, all []*Recipient, i int) {
	// From the last: neighbours in a list of recipients often go together.
	for k := len(*gs) - 1; k >= 0; k-- {
		g := &(*gs)[k]
		if g.hop != hop {
			continue
		}
		if !g.copied && g.first+len(g.rcpts) == i {
			g.rcpts = all[g.first : i+1 : i+1]
		} else {
			g.rcpts = append(g.rcpts, all[i])
			g.copied = true
		}
		return
	}
	*gs = append(*gs, group{hop: hop, first: i, rcpts: all[i : i+1 : i+1]})
}

// place puts the routed message into the queues, and what cannot be tried now
// back into the store.
func (q *Queue) place(a *active, gs groups, ended []verdict, now time.Time) {
	for i := range gs {
		gs[i].limits = q.hopLimits(gs[i].hop)
		gs[i].pace = q.pace(gs[i].hop)
	}
	q.mu.Lock()
	for i := range ended {
		q.apply(a, &ended[i], now)
	}
	for i := range gs {
		g := &gs[i]
		h := q.hopFor(g.hop, g.limits)
		q.setPace(h, g.pace)
		if a.order.what != 0 {
			a.waitAll(h, g.rcpts, now)
			continue
		}
		if h.dead || h.shut() || h.n >= h.limits.Active {
			q.park(a, h, g.rcpts, now)
			continue
		}
		for rcpts := g.rcpts; len(rcpts) > 0; {
			n := min(len(rcpts), h.limits.Recipients)
			p := &a.one
			if a.left > 0 {
				p = new(part)
			}
			*p = part{msg: a, hop: h, rcpts: rcpts[:n:n]}
			rcpts = rcpts[n:]
			a.left++
			q.enqueue(p)
		}
	}
	if h := a.probe; h != nil && h.expected { // it goes another way, or is not tried
		h.expected = false
		q.watch(h)
	}
	done := a.left == 0 && !a.recording
	if done {
		a.recording = true
	}
	q.mu.Unlock()
	q.tellAttempt(a.m, NextHop{}, ended, 0)
	if done {
		q.record(a)
	}
}

// park notes that recipients wait for a hop that cannot take them now.
// Called with mu held.
func (q *Queue) park(a *active, h *hop, rcpts []*Recipient, now time.Time) {
	again := now.Add(lookAgain)
	if h.dead && h.retryAt.After(now) {
		again = h.retryAt
	}
	if !h.held() {
		h.congested = true
		q.hold(h)
	}
	for _, r := range rcpts {
		if v, ok := a.impatient(h, r, now, again); ok {
			q.apply(a, &v, now)
			continue
		}
		a.waits(h.key, now, again)
		if d := deadline(a.m, r); d.After(now) && d.Before(now.Add(sweepInterval)) {
			a.mixed, a.again = true, sooner(a.again, d)
		}
	}
}

// lookAgain is how often a message is looked at that waits for several hops
// that are closed.
const lookAgain = 5 * time.Minute
