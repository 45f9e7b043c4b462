package postgres

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// at returns the time n seconds after the begin of a test.
func at(n float64) time.Time { return time.Unix(0, 0).Add(time.Duration(n * float64(time.Second))) }

// A glance is one look of an observer at the node 1: the time, and the beat that it has
// read. The beat -1 is a look that failed.
type glance struct {
	at   float64
	beat int64
}

func TestObserver(t *testing.T) {
	every := func(from, to, step float64, beat int64) (gs []glance) {
		for s := from; s <= to; s += step {
			gs = append(gs, glance{s, beat})
		}
		return gs
	}
	for _, c := range []struct {
		name    string
		glances []glance
		dead    float64 // when the node is dead first; -1: never
	}{
		{"a node that beats lives", slices.Concat(every(0, 5, 1, 1), every(6, 20, 1, 2), every(21, 35, 1, 3)), -1},
		{"the same beat for DeadAfter", slices.Concat(every(0, 5, 1, 1), every(6, 40, 1, 2)), 26},
		{"a first beat is new", every(3, 40, 1, 7), 23},
		{"a beat that goes back is a beat", slices.Concat(every(0, 19, 1, 5), every(20, 39, 1, 4)), -1},
		{"a failed look resets", slices.Concat(every(0, 18, 1, 1), []glance{{19, -1}}, every(20, 60, 1, 1)), 40},
		{"an outage is not a missed beat", slices.Concat(every(0, 10, 1, 1), every(11, 100, 1, -1), every(101, 120, 1, 1)), -1},
		{"after an outage a node has a whole DeadAfter", slices.Concat(every(0, 10, 1, 1), every(11, 100, 1, -1), every(101, 130, 1, 1)), 121},
		{"two beats without a look do not reset", slices.Concat(every(0, 5, 1, 1), every(15, 40, 1, 1)), 20},
		{"more than two beats without a look reset", slices.Concat(every(0, 5, 1, 1), every(15.5, 40, 1, 1)), 35.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observer{beat: 5 * time.Second, deadAfter: 20 * time.Second}
			dead := -1.0
			for _, g := range c.glances {
				if g.beat < 0 {
					o.failed()
				} else if len(o.look(at(g.at), at(g.at), []pulse{{1, "a", g.beat}})) > 0 && dead < 0 {
					dead = g.at
				}
			}
			if dead != c.dead {
				t.Errorf("dead at %v, want %v", dead, c.dead)
			}
		})
	}
}

// With the least DeadAfter, a node that beats has one interval to beat after the longest
// gap in the contact of the observer.
func TestObserverShortestDeadAfter(t *testing.T) {
	o := observer{beat: 5 * time.Second, deadAfter: 15 * time.Second}
	o.look(at(0), at(0), []pulse{{1, "a", 1}})
	o.look(at(4.9), at(4.9), []pulse{{1, "a", 1}}) // its next beat is due at 5
	if dead := o.look(at(9.9), at(9.9), []pulse{{1, "a", 1}}); len(dead) > 0 {
		t.Error("dead after a gap of 5 s")
	}
	if dead := o.look(at(14.9), at(14.9), []pulse{{1, "a", 1}}); len(dead) > 0 {
		t.Error("dead before it had 5 s to beat")
	}
	if dead := o.look(at(15), at(15), []pulse{{1, "a", 1}}); len(dead) != 1 {
		t.Error("alive after DeadAfter")
	}
}

// The time of a beat begins when the answer has arrived, and ends when the last request
// was sent: the rest may be the time of the network.
func TestObserverSlowAnswers(t *testing.T) {
	o := observer{beat: 5 * time.Second, deadAfter: 15 * time.Second}
	o.look(at(0), at(4), []pulse{{1, "a", 1}})
	for s := 5.0; s < 19; s++ {
		if dead := o.look(at(s), at(s+0.9), []pulse{{1, "a", 1}}); len(dead) > 0 {
			t.Fatalf("dead at %v", s)
		}
	}
	if dead := o.look(at(19), at(23), []pulse{{1, "a", 1}}); len(dead) != 1 {
		t.Error("alive at 19")
	}
}

func TestObserverBeaten(t *testing.T) {
	o := observer{beat: 5 * time.Second, deadAfter: 15 * time.Second}
	if o.beaten(pulse{1, "a", 1}) {
		t.Error("a node that was never seen has beaten")
	}
	o.look(at(0), at(0), []pulse{{1, "a", 1}})
	if o.beaten(pulse{1, "a", 1}) || !o.beaten(pulse{1, "a", 2}) {
		t.Error("only a second beat shows that the node beats")
	}
}

// A world is a database and nodes whose network and time are simulated.
type world struct {
	t      *testing.T
	now    time.Duration
	events events
	down   bool            // the database
	beats  map[int64]int64 // in the database
	nodes  []*simNode
}

type simNode struct {
	observer
	id       int64
	killed   time.Duration // 0: it lives
	beatSent time.Duration
	declared time.Duration // when others have declared it dead first
}

const (
	simBeat      = 5 * time.Second
	simDeadAfter = 15 * time.Second
)

// In 20 simulated hours with random outages of the database, slow answers and the death
// of one node: no node is dead that has beaten within DeadAfter, by its own clock, so
// its MayFinish fails before. No node that lives is dead. The one that has died is dead
// in time, unless there is an outage.
func TestOutagesSimulated(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := &world{t: t, beats: map[int64]int64{}}
		for id := range int64(4) {
			n := &simNode{id: id + 1, observer: observer{beat: simBeat, deadAfter: simDeadAfter}}
			w.nodes = append(w.nodes, n)
			w.after(time.Duration(random.Int64N(int64(time.Second))), func() { w.look(n, random) })
		}
		// Outages of up to 2 minutes, the last one ends before the node dies.
		for range 20 {
			begin := time.Duration(random.Int64N(int64(50 * time.Minute)))
			w.after(begin, func() { w.down = true })
			w.after(begin+time.Duration(random.Int64N(int64(2*time.Minute))), func() { w.down = false })
		}
		victim, died := w.nodes[0], 55*time.Minute
		w.after(died, func() { w.down, victim.killed = false, died })
		for w.now < time.Hour {
			e := heap.Pop(&w.events).(event)
			w.now = e.at
			e.do()
		}
		if took := victim.declared - died; victim.declared == 0 || took > simDeadAfter+3*time.Second {
			t.Errorf("seed %d: the dead node was found after %v", seed, took)
		}
		for _, n := range w.nodes[1:] {
			if n.declared != 0 {
				t.Errorf("seed %d: a node that lives was declared dead at %v", seed, n.declared)
			}
		}
	}
}

// look is one look of n, and a beat if it is due. The request and the answer take up to
// 400 ms each.
func (w *world) look(n *simNode, random *rand.Rand) {
	if n.killed != 0 {
		return
	}
	sent := w.now
	defer w.after(time.Second, func() { w.look(n, random) })
	if w.down {
		n.failed()
		return
	}
	beat := sent-n.beatSent >= simBeat-500*time.Millisecond
	there := time.Duration(random.Int64N(int64(400 * time.Millisecond)))
	back := time.Duration(random.Int64N(int64(400 * time.Millisecond)))
	w.after(there, func() {
		if beat {
			w.beats[n.id]++
		}
		var read []pulse
		for id, b := range w.beats {
			if id != n.id {
				read = append(read, pulse{id: id, beat: b})
			}
		}
		w.after(back, func() {
			if beat {
				n.beatSent = sent
			}
			for _, p := range n.observer.look(at(sent.Seconds()), at(w.now.Seconds()), read) {
				w.declare(w.nodes[p.id-1], p.beat)
			}
		})
	})
}

// declare declares a node dead, unless it has beaten since.
func (w *world) declare(n *simNode, beat int64) {
	if n.declared != 0 || w.down || w.beats[n.id] != beat {
		return
	}
	n.declared = w.now
	if silent := w.now - n.beatSent; silent <= simDeadAfter {
		w.t.Errorf("a node is dead %v after it has sent its last beat", silent)
	}
}

func (w *world) after(d time.Duration, do func()) {
	heap.Push(&w.events, event{w.now + d, do})
}

type event struct {
	at time.Duration
	do func()
}

// events is a heap of events.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	x := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return x
}
