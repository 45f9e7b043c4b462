package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A world is a driver for tests: a store, workers, a deliverer and operators,
// in one goroutine and with a clock of its own. What happens next is drawn
// from choose. It knows where each recipient is, by its own account.
type world struct {
	t      testing.TB
	s      *Scheduler
	now    time.Time
	choose func(n int) int // 0 to n-1
	calm   bool            // everything succeeds from now on

	stored    map[string]*mail
	keys      []Key
	held      map[Key]bool             // by the Pacer
	suspended map[suspension]time.Time // by operators, until then; zero: until they are resumed
	next      int                      // number of the next message
	digest    uint64                   // of all decisions
	events    int
	gloomy    bool   // most hosts are down
	claimed   *Query // a claim whose messages have not arrived yet, and
	batch     []*mail
	retryAt   time.Time // a claim failed, and is not repeated before

	awake      bool
	sleepUntil time.Time
	workers    []Decision // to call Ready (None), or with a job
	returns    []*Part
	records    []*Message
	recording  *recording // of one of the records, which has not ended
	unrecorded []*Message
	mending    bool
	asking     *Hop
	renewing   *Task
	rechecking Scope

	shares    bool     // the limits are shared with other nodes
	shareSoon bool     // the core has decided Share
	demands   []Demand // they have no answer yet

	beganAlone map[*Hop]bool // an attempt was begun alone
}

// A mail is a message, stored or active.
type mail struct {
	id      string
	rcpts   []*rcpt
	due     time.Time
	hop     Key
	active  *Message
	leased  bool // but not active yet
	foreign bool // another owner has had it
	suspect bool
	routed  time.Time // as a suspect
}

// A recording is in progress.
type recording struct {
	m       *Message
	final   bool
	outcome Outcome
	inStore bool // the message can be claimed again

	delivered []*rcpt // that it records
}

// A rcpt is a recipient, and where it is: in one part at most.
type rcpt struct {
	ended     bool
	delivered bool // not recorded yet, and no record in progress has it
	waiting   bool
	part      *Part
}

const (
	testHops       = 9
	testRecipients = 3
)

func newWorld(t testing.TB, choose func(int) int) *world {
	w := &world{t: t, choose: choose, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), stored: map[string]*mail{}, held: map[Key]bool{},
		suspended: map[suspension]time.Time{}, beganAlone: map[*Hop]bool{}}
	limits := Limits{Active: 20, Memory: 200, Deliveries: 8, Lease: 10 * time.Minute}
	if choose(4) == 0 {
		limits.Rate = 10
	}
	w.gloomy = choose(3) == 0
	w.s = New(limits, Key{Destination: "aside"})
	for i := range testHops {
		w.keys = append(w.keys, Key{Connector: []string{"out", "out", "home"}[i%3], Destination: fmt.Sprint("h", i%(testHops-1))}) // two have the same
	}
	if w.shares = choose(2) == 0; w.shares {
		w.s.ShareLimits()
	}
	w.event(func() { w.s.Run() })
	return w
}

// hopLimits of the first hop are tight.
func (w *world) hopLimits(key Key) HopLimits {
	l := HopLimits{Concurrency: 4, Start: 2, Recipients: 2, Active: 5}
	if key == w.keys[0] {
		l.Rate = 5
	}
	return l
}

func (w *world) pace(key Key) Pace {
	return Pace{Known: true, Held: w.held[key], MaxConcurrency: 3, PerNode: key == w.keys[0]}
}

// event passes an event to the core, takes its decisions and checks the
// invariants.
func (w *world) event(f func()) {
	f()
	w.events++
	for _, d := range w.s.Decisions(nil) {
		w.note(&d)
		switch d.Kind {
		case Wake:
			w.awake = true
		case StartWorker:
			w.workers = append(w.workers, Decision{})
		case Return:
			for p := d.Part; p != nil; p = p.next {
				w.returns = append(w.returns, p)
			}
		case Share:
			w.shareSoon = true
		case Record:
			w.records = append(w.records, d.Msg)
		}
	}
	w.check()
}

// note adds a decision to the digest, noteTask a task.
func (w *world) note(d *Decision) {
	w.mix(uint64(d.Kind))
	if d.Msg != nil {
		w.mixText(d.Msg.ID)
	}
	for p := d.Part; p != nil; p = p.next {
		w.mixText(p.Msg.ID + p.Hop.Key.Destination)
	}
}

func (w *world) noteTask(d *Task) {
	w.mix(uint64(d.Kind), uint64(d.Scope), uint64(d.At.UnixNano()))
	if d.Hop != nil {
		w.mixText(d.Hop.Key.Destination)
	}
	for _, m := range d.Msgs {
		w.mixText(m.ID)
	}
	if q := d.Claim; q != nil {
		w.mixText(q.ID)
		w.mix(uint64(q.Max), uint64(q.Until.UnixNano()))
	}
}

// mix and mixText are FNV-1a.
func (w *world) mix(ns ...uint64) {
	for _, n := range ns {
		w.digest = (w.digest ^ n) * 1099511628211
	}
}

func (w *world) mixText(s string) {
	for i := range len(s) {
		w.mix(uint64(s[i]))
	}
}

// step lets one thing happen.
func (w *world) step() {
	switch w.choose(17) {
	case 16:
		w.share()
	case 0, 1:
		if !w.calm {
			w.submit()
		}
	case 2, 3, 4, 5, 6:
		w.work()
	case 7, 8:
		w.record()
	case 9:
		w.putBack()
	case 10, 11, 12:
		w.loop()
	case 13:
		w.pass([]time.Duration{time.Millisecond, 300 * time.Millisecond, 7 * time.Second, 2 * time.Minute, 20 * time.Minute}[w.choose(5)])
	case 14:
		w.loopEnds()
	case 15:
		if !w.calm {
			w.operate()
		}
	}
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) submit() {
	m := &mail{id: fmt.Sprintf("m%04d", w.next)}
	w.next++
	for range 1 + w.choose(testRecipients) {
		m.rcpts = append(m.rcpts, &rcpt{})
	}
	size := int64(w.choose(30))
	placed := false
	w.event(func() { placed = w.s.Place(size) })
	switch {
	case placed && w.choose(8) == 0:
		w.event(func() { w.s.Unplaced(size) }) // the store is full
	case placed:
		w.arrive(m, size, nil)
	default:
		w.stored[m.id] = m
		w.event(func() { w.s.Stored(time.Time{}) })
	}
}

// arrive makes a message active.
func (w *world) arrive(m *mail, size int64, probe *Hop) {
	w.stored[m.id] = m
	am := &Message{ID: m.id, Size: size, Priority: w.choose(3) - 1, Lease: w.now.Add(w.s.limits.Lease), Suspect: m.suspect, Alone: m.suspect && w.choose(2) == 0, Probe: probe, Load: m}
	taken := false
	if w.s.active[m.id] == nil { // otherwise it was claimed again before it was forgotten
		m.active, m.leased, m.foreign = am, false, false
		for _, r := range m.rcpts {
			r.waiting, r.part = false, nil
		}
	}
	w.event(func() { taken = w.s.Arrived(w.now, am) })
	if !taken {
		if !w.s.drained {
			w.t.Fatal("a message was refused while the scheduler runs")
		}
		w.released(m, w.now)
	}
}

// work lets a worker go on.
func (w *world) work() {
	if len(w.workers) == 0 {
		return
	}
	i := w.choose(len(w.workers))
	job := w.workers[i]
	if job.Kind == Deliver && !w.calm && w.choose(4) == 0 {
		w.progress(job.Part)
		return
	}
	switch job.Kind {
	case Route:
		w.route(job.Msg)
	case Deliver:
		w.deliver(job.Part)
	}
	w.workers = slices.Delete(w.workers, i, i+1)
	var next Decision
	w.event(func() {
		if next = w.s.Ready(&job); next.Kind != None {
			w.workers = append(w.workers, next)
		}
	})
	w.note(&next)
	w.begun(&next)
}

func (w *world) route(m *Message) {
	ml := m.Load.(*mail)
	w.event(func() {
		groups := map[int][]*rcpt{}
		for _, r := range ml.rcpts {
			switch {
			case r.ended:
			case !w.calm && w.choose(8) == 0:
				r.ended = true // refused
			case !w.calm && w.choose(8) == 0:
				r.waiting = true
				m.WaitUntil(w.now.Add(time.Minute))
			default:
				k := w.choose(testHops)
				groups[k] = append(groups[k], r)
			}
		}
		for k := range testHops {
			rcpts := groups[k]
			if rcpts == nil {
				continue
			}
			key := w.keys[k]
			h, mayQueue := w.s.Way(w.now, m, key, w.hopLimits(key), w.pace(key))
			switch {
			case h == nil:
				w.wait(m, key, rcpts, w.now)
			case !mayQueue:
				w.wait(m, key, rcpts, w.s.Returned(w.now, h))
			default:
				for len(rcpts) > 0 {
					n := min(len(rcpts), h.Recipients())
					p := &Part{Msg: m, Hop: h, Recipients: n, Load: rcpts[:n]}
					for _, r := range rcpts[:n] {
						r.part = p
					}
					rcpts = rcpts[n:]
					w.s.Queue(p)
				}
			}
		}
		w.s.Routed(w.now, m)
	})
}

func (w *world) wait(m *Message, key Key, rcpts []*rcpt, again time.Time) {
	for _, r := range rcpts {
		r.waiting, r.part = true, nil
		m.Wait(key, w.now, again)
	}
}

func (w *world) deliver(p *Part) {
	m, rcpts := p.Msg, p.Load.([]*rcpt)
	some := slices.ContainsFunc(rcpts, func(r *rcpt) bool { return r.ended }) // see progress
	if w.held[p.Hop.Key] && !some {
		w.event(func() { w.s.TurnedBack(w.now, p, w.pace(p.Hop.Key)) })
		return
	}
	if !some && !w.calm && w.choose(10) == 0 {
		w.notBegun(p)
		return
	}
	a := &Attempt{Begun: w.now.Add(-time.Duration(w.choose(3)) * time.Second), Wait: time.Minute, Pace: w.pace(p.Hop.Key)}
	if i := slices.Index(w.keys, p.Hop.Key); i%2 == 0 {
		a.Host = fmt.Sprint("host", w.choose(8)/7+i%4) // nearly always the same
	}
	a.Busy = !some && a.Host != "" && !w.calm && w.choose(8) == 0
	a.Down = !some && !a.Busy && !w.calm && (w.choose(3) == 0 || w.gloomy && w.choose(3) > 0)
	alone := p.Hop.probing || p.Hop.answered.Before(a.Begun) // no other attempt reached the host meanwhile
	w.event(func() {
		c := w.s.Attempted(w.now, p, a)
		if a.Down && alone && !p.Hop.dead {
			w.t.Fatalf("hop %v cannot be reached, and is not dead", p.Hop.Key)
		}
		if c.Turned {
			return
		}
		for _, r := range rcpts {
			switch {
			case r.ended:
				r.part = nil
			case a.Down || !w.calm && w.choose(3) == 0:
				due, again := w.now.Add(time.Minute), w.now.Add(time.Minute)
				if c.Down {
					due, again = c.Since, c.Retry
				}
				if c.Asked {
					due, again = w.now, w.now
				}
				r.waiting, r.part = true, nil
				m.Wait(p.Hop.Key, due, again)
			default:
				r.ended, r.delivered, r.part = true, true, nil
				m.Urgent()
			}
		}
		w.s.Ended(m)
	})
}

// progress delivers to one recipient of a part. The attempt continues.
func (w *world) progress(p *Part) {
	r := p.Load.([]*rcpt)[0]
	if r.ended {
		return
	}
	w.event(func() {
		r.ended, r.delivered = true, true
		p.Msg.Urgent()
		w.s.Progressed(p.Msg)
	})
}

// random draws from a seed.
func random(seed uint64) func(int) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(n int) int { return r.IntN(n) }
}
