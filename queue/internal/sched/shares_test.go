package sched

import "slices"

// The invariants of the fair shares: see turn.go, trial.go, room.go, host.go.

// checkTurn: the part that began was that of the hop whose turn it was.
func (w *world) checkTurn(ran *Hop) {
	c := ran.connector
	if !ran.answers && w.s.trying > w.s.maxTrials() {
		w.t.Fatalf("%d trials at a time", w.s.trying)
	}
	for _, other := range w.s.connectorList {
		switch {
		case other == c:
		case ran.answers && other.rings[answering].n > 0 && other.slots < c.slots-1:
			w.t.Fatalf("connector %s got slot %d, and %s waits with %d", c.name, c.slots, other.name, other.slots)
		case !ran.answers && other.rings[ran.kind()].n > 0 && other.trying < c.trying-1:
			w.t.Fatalf("connector %s got trial %d, and %s waits with %d", c.name, c.trying, other.name, other.trying)
		}
	}
	w.checkTurns(ran)
}

// checkTurns: every hop that may run runs within its turn: while it waits in the
// ring of those that answer, no other hop of the ring has more than two turns,
// of as many parts as its backlog earns it.
func (w *world) checkTurns(ran *Hop) {
	for _, h := range w.s.hopList {
		t, _ := h.Load.(*turns)
		if t == nil {
			t = &turns{ran: map[*Hop]int{}}
			h.Load = t
		}
		if h == ran || h.in == nil || h.in.kind != answering || ran.connector != h.connector || !ran.answers {
			clear(t.ran)
			continue
		}
		if t.ran[ran]++; t.ran[ran] > 2*maxRow {
			w.t.Fatalf("hop %v ran %d times while %v waited for its turn", ran.Key, t.ran[ran], h.Key)
		}
	}
}

// turns counts which hops ran while one waited.
type turns struct{ ran map[*Hop]int }

// checkShares: what the core counts for connectors and hosts agrees with the
// hops, and no connector or host has more than its share.
func (w *world) checkShares() {
	s := w.s
	type counts struct{ hops, queued, trials, slots, trying int }
	connectors, hosts := map[*connector]counts{}, map[*host]counts{}
	trying, busy := 0, 0
	var ringed [kinds]int
	for _, h := range s.hopList {
		c := connectors[h.connector]
		c.hops, c.queued, c.slots = c.hops+1, c.queued+h.n, c.slots+h.inflight
		if !h.answers {
			c.trials, c.trying, trying = c.trials+h.n, c.trying+h.inflight, trying+h.inflight
		}
		connectors[h.connector] = c
		if h.in != nil {
			ringed[h.in.kind]++
		}
		if h.host != nil {
			t := hosts[h.host]
			t.hops++
			if h.in != nil {
				t.queued++
			}
			if h.waitsForHost {
				t.trials++
			}
			hosts[h.host] = t
		}
		if h.congested && h.n <= s.most(h)/2 && !slices.Contains(h.connector.crowded[kindOf(h)].hops, h) {
			w.t.Fatalf("hop %v is congested for ever", h.Key)
		}
	}
	if trying != s.trying || ringed != s.ringed {
		w.t.Fatalf("%d trials, %d hops in rings; the core counts %d, %d", trying, ringed, s.trying, s.ringed)
	}
	for _, c := range s.connectorList {
		if got := (counts{c.hops, c.queued, c.trials, c.slots, c.trying}); got != connectors[c] {
			w.t.Fatalf("connector %s counts %+v, and has %+v", c.name, got, connectors[c])
		}
		if c.queued > 0 {
			busy++
		}
		for kind, o := range s.orders {
			if in := c.index[kind] >= 0; in != (c.rings[kind].n > 0) || in && o.list[c.index[kind]] != c {
				w.t.Fatalf("connector %s is in the wrong place of order %d", c.name, kind)
			}
		}
		for kind := range c.crowded {
			if hops := c.crowded[kind].hops; len(hops) > testHops {
				w.t.Fatalf("a list of connector %s has %d hops, of %d", c.name, len(hops), testHops)
			}
			if n := len(c.crowded[kind].hops); n > 0 && [2]int{c.queued - c.trials, c.trials}[kind] == 0 && s.released < maxReleased {
				w.t.Fatalf("%d hops of connector %s wait in the store, and there is room", n, c.name)
			}
		}
	}
	if busy != s.busy {
		w.t.Fatalf("%d connectors are busy, the core counts %d", busy, s.busy)
	}
	if len(s.hosts) != len(hosts) {
		w.t.Fatalf("%d hosts are known, %d have hops", len(s.hosts), len(hosts))
	}
	for t, n := range hosts {
		if t.hops != n.hops || t.ringed != n.queued {
			w.t.Fatalf("host %s counts %d hops, %d in rings, and has %d, %d", t.name, t.hops, t.ringed, n.hops, n.queued)
		}
		if n.trials > 0 && t.inflight+t.ringed == 0 {
			w.t.Fatalf("%d hops wait for host %s, which has nothing to do", n.trials, t.name)
		}
	}
}
