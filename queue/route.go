package queue

import (
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// categorize asks the Deliverer for the way of each recipient that is due,
// makes parts of those that go the same way, and puts them into their hops'
// queues. It appends the decisions that this causes to those that are to be
// carried out.
func (q *Queue) categorize(a *active, todo []sched.Decision) []sched.Decision {
	now := time.Now()
	if q.poisonous(a) {
		q.emit(EventPoison, a.m, a.m.Recipients, nil)
		return q.decide(todo, func(core *sched.Scheduler) {
			a.Wait(sched.Key(poisonHop), farFuture, farFuture)
			core.Routed(time.Now(), &a.Message)
		})
	}
	a.lifetime = q.lifetime(a.m)
	q.begin(a)
	var few [1]group // for most messages, without an allocation
	groups := groups(few[:0])
	var ended []verdict     // recipients that have no way now
	var waiting []time.Time // when the recipients are due that are not due yet
	looked, loop := false, false
	for i, r := range a.m.Recipients {
		if r.owesSuccess() {
			a.owed().succeeded = append(a.owed().succeeded, r) // no other goroutine sees the message's reports yet
		}
		if r.Status != Waiting {
			continue
		}
		if r.NextAttempt.After(now) {
			waiting = append(waiting, r.NextAttempt) // it is not known for which hop
			continue
		}
		if r.Attempts == 0 && !looked {
			looked, loop = true, q.inMailLoop(a.m)
		}
		hop, res := q.nextHop(a.m, r, loop)
		if res != nil {
			ended = append(ended, q.judge(a, r, hop, nil, res, now))
			continue
		}
		groups.add(hop, a.m.Recipients, i)
	}
	q.end(a)
	todo = q.place(a, groups, ended, waiting, todo)
	q.emitAttempt(a.m, NextHop{}, ended, 0)
	return todo
}

// way is where the recipient's mail goes next, or the result of there being
// no way.
func (q *Queue) nextHop(m *Message, r *Recipient, loop bool) (hop NextHop, res *Result) {
	if r.Attempts == 0 && loop {
		// 4.4.6 is what the Exchange of the documents says; RFC 3463's own
		// word for a loop is X.4.6 as well.
		return hop, refused(554, smtp.EnhancedCode{4, 4, 6}, "Hop count exceeded: mail loop")
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
	pace   Pace
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
func (q *Queue) place(a *active, gs groups, ended []verdict, waiting []time.Time, todo []sched.Decision) []sched.Decision {
	for i := range gs {
		gs[i].limits = q.hopLimits(gs[i].hop)
		gs[i].pace = q.pace(gs[i].hop)
	}
	now := time.Now()
	return q.decide(todo, func(core *sched.Scheduler) {
		for i := range ended {
			a.apply(&ended[i], now)
		}
		for _, due := range waiting {
			a.WaitUntil(due)
		}
		for i := range gs {
			q.placeGroup(core, now, a, &gs[i])
		}
		core.Routed(now, &a.Message)
	})
}

// placeGroup puts the recipients for one hop into its queue, or has them wait.
// It is called in a step.
func (q *Queue) placeGroup(core *sched.Scheduler, now time.Time, a *active, g *group) {
	h, mayQueue := core.Way(now, &a.Message, sched.Key(g.hop), sched.HopLimits(g.limits), q.coreOf(&g.pace))
	if h == nil {
		a.waitAll(g.hop, g.rcpts, now)
		return
	}
	hopData(h).pace = g.pace
	if !mayQueue {
		a.park(core, h, g.rcpts, now)
		return
	}
	for rcpts := g.rcpts; len(rcpts) > 0; {
		n := min(len(rcpts), h.Recipients())
		core.Queue(&a.newPart(h, rcpts[:n:n]).Part)
		rcpts = rcpts[n:]
	}
}

// park notes that recipients wait for a hop that cannot take them now. It is
// called in a step.
func (a *active) park(core *sched.Scheduler, h *sched.Hop, rcpts []*Recipient, now time.Time) {
	again := core.Returned(now, h)
	for _, r := range rcpts {
		if v, ok := a.lateVerdict(h, r, now, again); ok {
			a.apply(&v, now)
			continue
		}
		a.Wait(h.Key, now, again)
		if d := deadline(a.m, r); d.After(now) && d.Before(now.Add(sched.SweepInterval)) {
			a.LookAgain(d)
		}
	}
}

// putBack puts parts back to the store without an attempt, because their hop
// was closed.
func (q *Queue) putBack(p *sched.Part) {
	for p != nil {
		next, rcpts := p.Next(), partOf(p).rcpts
		now := time.Now()
		q.step(func(core *sched.Scheduler) {
			activeOf(p.Msg).park(core, p.Hop, rcpts, now)
			core.PutBack(p)
		})
		p = next
	}
}
