package sched

import "time"

// A host is what several hops have in common: the address that their mail goes
// to. Its hops share what one hop may have, so that ten thousand domains of one
// host count as one.
type host struct {
	name     string
	hops     int // that are known to go there
	inflight int // attempts in progress
	ringed   int // hops of it that are in a ring: each has a place reserved
	answers  bool
	answered time.Time // when it last answered a hop
	waiting  []*Hop    // hops that wait for an attempt to end, first in, first out
}

// meet notes which host a hop's mail goes to.
func (s *Scheduler) meet(h *Hop, name string) {
	if name == "" || h.host != nil && h.host.name == name {
		return
	}
	s.unring(h)
	s.leave(h)
	if h.host = s.hosts[name]; h.host == nil {
		h.host = &host{name: name}
		s.hosts[name] = h.host
	}
	h.host.hops++
}

// leave forgets which host a hop's mail goes to.
func (s *Scheduler) leave(h *Hop) {
	if h.host == nil {
		return
	}
	h.waitsForHost = false
	if h.host.hops--; h.host.hops == 0 {
		delete(s.hosts, h.host.name)
	}
	h.host = nil
}

// hostLimit is how many attempts may be in progress at the host: one until it
// answers.
func (h *Hop) hostLimit() int {
	if !h.host.answers {
		return 1
	}
	return max(h.limits.Concurrency, 1)
}

// awaitHost reports whether a hop must wait because its host has as many
// attempts as it may, and has it wait.
func (s *Scheduler) awaitHost(h *Hop) bool {
	if h.host == nil {
		return false
	}
	others := h.host.ringed
	if h.in != nil {
		others--
	}
	if h.host.inflight+others < h.hostLimit() {
		return false
	}
	if !h.waitsForHost {
		h.waitsForHost = true
		h.host.waiting = append(h.host.waiting, h)
	}
	return true
}

// hostFreed lets hops go on that wait for a host, as many as may.
func (s *Scheduler) hostFreed(t *host) {
	if t == nil {
		return
	}
	for len(t.waiting) > 0 {
		h := t.waiting[0]
		waits := h.host == t && h.waitsForHost
		if waits && t.inflight+t.ringed >= h.hostLimit() {
			return
		}
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		if waits {
			h.waitsForHost = false
			s.ring(h)
		}
	}
}

// hostAnswered notes that a hop's host has answered.
func (s *Scheduler) hostAnswered(now time.Time, h *Hop) {
	if h.host != nil {
		h.host.answers, h.host.answered = true, now
		s.hostFreed(h.host)
	}
}

// hostSilent notes that an attempt that began at begun could not reach the hop.
// If another hop has reached the host since, the host answers: the TLS policy of
// a single domain may prevent a session with a host that serves many.
func (s *Scheduler) hostSilent(begun time.Time, h *Hop) {
	if h.host != nil && h.host.answered.Before(begun) {
		h.host.answers = false
		s.hostFreed(h.host)
	}
}
