package queue

import (
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// categorize routes each recipient that is due, makes one or more parts of the
// recipients with the same next hop, and puts the parts into the queues of their
// hops. It appends the decisions that follow to todo.
func (q *Queue) categorize(a *active, todo []sched.Decision) []sched.Decision {
	now := q.clock.now()
	if q.poisonous(a) {
		q.counts.poison.Add(1)
		q.emit(EventPoison, a.m, a.m.Recipients, nil)
		return q.decide(todo, func(core *sched.Scheduler) {
			a.Wait(sched.Key(poisonHop), farFuture, farFuture)
			core.Routed(now, &a.Message)
		})
	}
	a.lifetime = q.lifetime(a.m)
	q.begin(a)
	var few [1]group // for most messages, without an allocation
	groups := groups{list: few[:0]}
	var ended []verdict     // of recipients without a next hop
	var waiting []time.Time // the due times of the recipients that are not due yet
	looked, loop := false, false
	for i, r := range a.m.Recipients {
		if r.owesSuccess() {
			a.owed().succeeded = append(a.owed().succeeded, r) // no other goroutine sees the message's reports yet
		}
		if r.Status != Waiting {
			continue
		}
		if due := q.clock.retryAt(r, now); due.After(now) {
			waiting = append(waiting, due) // for an unknown hop
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
	waiting = append(waiting, q.addResults(a, &groups, now)...)
	q.end(a)
	todo = q.place(a, groups.list, ended, waiting, todo)
	q.emitAttempt(a.m, NextHop{}, ended, 0)
	return todo
}

// nextHop returns the next hop of a recipient, or a result if there is none.
// loop means that the message is in a mail loop.
func (q *Queue) nextHop(m *Message, r *Recipient, loop bool) (hop NextHop, res *Result) {
	if r.Attempts == 0 && loop {
		// Exchange uses 4.4.6. In RFC 3463 too, X.4.6 means a routing loop.
		return hop, refused(554, smtp.EnhancedCode{4, 4, 6}, "Hop count exceeded: mail loop")
	}
	hop = r.Route
	if hop == (NextHop{}) {
		var err error
		if hop, err = q.callRoute(q.ctx, m, r); err != nil {
			return hop, unrouted(err)
		}
	}
	if hop == finalHop {
		return NextHop{}, &Result{Outcome: Deferred, Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5},
			Message: "Routing failed: " + FinalResultsQueue + " is not a next hop"}}
	}
	if addr.FoldDomain(hop.Destination) == addr.FoldDomain(q.host) {
		return hop, refused(554, smtp.EnhancedCode{5, 3, 5}, "The next hop is this host itself: it is configured to loop")
	}
	return hop, nil
}

// refused returns a permanent failure with a local reply.
func refused(code int, enhanced smtp.EnhancedCode, text string) *Result {
	return &Result{Outcome: Failure, Reply: smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}}
}

// unrouted returns the result for an error of Route.
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
type groups struct {
	list  []group
	byHop map[NextHop]int // the index in list; nil while there are few groups
}

// fewGroups is the greatest number of groups that are searched one by one.
const fewGroups = 8

type group struct {
	hop    NextHop
	first  int          // the index of the first recipient
	rcpts  []*Recipient // the recipients: a slice of the message's own list, if they are neighbors there
	copied bool         // rcpts is a copy, because they are not neighbors
	pace   Pace
	limits HopLimits
}

// add adds recipient i of all to the group of hop.
func (gs *groups) add(hop NextHop, all []*Recipient, i int) {
	k := gs.find(hop)
	if k < 0 {
		gs.list = append(gs.list, group{hop: hop, first: i, rcpts: all[i : i+1 : i+1]})
		gs.note()
		return
	}
	g := &gs.list[k]
	if !g.copied && g.first+len(g.rcpts) == i {
		g.rcpts = all[g.first : i+1 : i+1]
	} else {
		g.rcpts = append(g.rcpts, all[i])
		g.copied = true
	}
}

// find returns the index of the group of hop, -1 if there is none.
func (gs *groups) find(hop NextHop) int {
	if gs.byHop != nil {
		if k, ok := gs.byHop[hop]; ok {
			return k
		}
		return -1
	}
	// From the last group: neighbors in the list often have the same next hop.
	for k := len(gs.list) - 1; k >= 0; k-- {
		if gs.list[k].hop == hop {
			return k
		}
	}
	return -1
}

// note adds the last group to byHop, if there are more than a few groups.
func (gs *groups) note() {
	n := len(gs.list)
	if n <= fewGroups {
		return
	}
	if gs.byHop == nil {
		gs.byHop = make(map[NextHop]int, 4*fewGroups)
		for k := range gs.list {
			gs.byHop[gs.list[k].hop] = k
		}
		return
	}
	gs.byHop[gs.list[n-1].hop] = n - 1
}

// place puts the parts of the routed message into the queues of their hops. The
// other recipients wait in the store.
func (q *Queue) place(a *active, gs []group, ended []verdict, waiting []time.Time, todo []sched.Decision) []sched.Decision {
	for i := range gs {
		if gs[i].hop == finalHop {
			gs[i].limits = q.finalLimits()
			continue
		}
		gs[i].limits = q.hopLimits(gs[i].hop)
		gs[i].pace = q.pace(gs[i].hop)
	}
	now := q.clock.now()
	return q.decide(todo, func(core *sched.Scheduler) {
		for i := range ended {
			a.apply(&ended[i], now, &q.clock)
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

// placeGroup puts the recipients for one hop into its queue. If the hop cannot
// take them, they wait in the store. It is called in a step.
func (q *Queue) placeGroup(core *sched.Scheduler, now time.Time, a *active, g *group) {
	h, mayQueue := core.Way(now, &a.Message, sched.Key(g.hop), sched.HopLimits(g.limits), q.coreOf(&g.pace))
	if h == nil {
		a.waitAll(g.hop, g.rcpts, now)
		return
	}
	hopData(h).pace = g.pace
	if r := g.rcpts[0]; r.Status == Waiting && r.Attempts == 0 {
		hopData(h).arrived(now, partsOf(h, g.rcpts), a.fresh)
	}
	if !mayQueue {
		a.park(core, h, g.rcpts, now, &q.clock)
		return
	}
	for rcpts := g.rcpts; len(rcpts) > 0; {
		n := min(len(rcpts), h.Recipients())
		core.Queue(&a.newPart(h, rcpts[:n:n]).Part)
		rcpts = rcpts[n:]
	}
}

// park records that recipients wait for a hop that cannot take them now. It is
// called in a step.
func (a *active) park(core *sched.Scheduler, h *sched.Hop, rcpts []*Recipient, now time.Time, c *clock) {
	again := core.Returned(now, h)
	ended, untried := 0, rcpts[0].Status == Waiting && rcpts[0].Attempts == 0
	for _, r := range rcpts {
		if r.Status != Waiting { // for FinalResults
			a.Wait(h.Key, now, again)
			continue
		}
		if v, ok := a.lateVerdict(h, r, now, again, c); ok {
			a.apply(&v, now, c)
			if v.status != Waiting {
				ended++
			}
			continue
		}
		a.Wait(h.Key, now, again)
		if d := c.steady(deadline(a.m, r)); d.After(now) && d.Before(now.Add(sched.SweepInterval)) {
			a.LookAgain(d)
		}
	}
	switch data := hopData(h); {
	case ended == len(rcpts):
		data.out.add(now, partsOf(h, rcpts))
	case untried:
		data.parked += partsOf(h, rcpts)
	}
}

// partsOf returns the number of parts that recipients for a hop become.
func partsOf(h *sched.Hop, rcpts []*Recipient) int {
	return (len(rcpts) + h.Recipients() - 1) / max(h.Recipients(), 1)
}

// putBack returns parts to the store without an attempt, because their hop has
// closed.
func (q *Queue) putBack(p *sched.Part) {
	for p != nil {
		next, rcpts := p.Next(), partOf(p).rcpts
		now := q.clock.now()
		q.step(func(core *sched.Scheduler) {
			activeOf(p.Msg).park(core, p.Hop, rcpts, now, &q.clock)
			core.PutBack(p)
		})
		p = next
	}
}
