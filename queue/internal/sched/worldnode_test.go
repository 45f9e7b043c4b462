package sched

import "time"

// drainNode makes the node drain, or ends that. What nothing works on goes back to
// the store at once.
func (w *world) drainNode(drained bool) {
	w.event(func() {
		for _, m := range w.s.Drain(w.now, drained) {
			w.released(m.Load.(*mail), w.now)
		}
	})
	if drained && w.s.Place(1) {
		w.t.Fatal("a node that drains has a place for a message")
	}
}

// loseLeases has other nodes take some messages over.
func (w *world) loseLeases() {
	lost := map[*Message]bool{}
	w.event(func() {
		all := w.choose(2) == 0
		before := map[*Message]bool{}
		for _, m := range w.s.active {
			before[m] = true
		}
		w.s.LoseLeases(w.now, func(m *Message) bool {
			lost[m] = all || m.ID[len(m.ID)-1]%2 == 0
			return lost[m]
		})
		for m := range before {
			if w.s.active[m.ID] != m {
				w.released(m.Load.(*mail), w.now.Add(time.Minute)) // the other owner gives it back
			}
		}
	})
	for _, h := range w.s.hopList {
		for _, l := range h.queued {
			for p := l.first; p != nil; p = p.next {
				if lost[p.Msg] {
					w.t.Fatalf("%s is lost, and waits for its turn", p.Msg.ID)
				}
			}
		}
	}
}

// released notes that an active message is in the store again.
func (w *world) released(m *mail, due time.Time) {
	m.active, m.due, m.hop, m.foreign = nil, due, Key{}, true
	for _, r := range m.rcpts {
		r.waiting, r.part = false, nil
	}
}

// notBegun has the store refuse to let an attempt begin.
func (w *world) notBegun(p *Part) {
	lost := w.choose(2) == 0
	w.event(func() {
		w.s.NotBegun(w.now, p, lost)
		for _, r := range p.Load.([]*rcpt) {
			if lost {
				r.waiting, r.part = true, nil
			}
		}
	})
	if !lost && !w.s.Broken() {
		w.t.Fatal("deliveries go on without contact")
	}
}
