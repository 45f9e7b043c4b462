package sched

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// suspensions are what operators have suspended: single hops, and all hops whose
// destination is a domain, also those that are not known yet.
//
// The ends of suspensions are times of the wall clock, so the driver has them.
// The Scheduler only knows when the next one ends.
type suspensions struct {
	hops    map[Key]bool
	domains map[string]bool // in canonical form, see addr.FoldDomain
	endAt   time.Time       // when the next suspension ends; zero: never
}

// covers reports whether a hop is suspended.
func (u *suspensions) covers(key Key) bool {
	return u.hops[key] || len(u.domains) > 0 && u.domains[addr.FoldDomain(key.Destination)]
}

// due reports whether a suspension ends now. The driver then says when the next
// one ends.
func (u *suspensions) due(now time.Time) bool {
	if u.endAt.IsZero() || u.endAt.After(now) {
		return false
	}
	u.endAt = time.Time{}
	return true
}

// SuspendHop suspends the hop key, which has these limits. An operator asked
// for it.
func (s *Scheduler) SuspendHop(now time.Time, key Key, limits HopLimits) {
	s.now = now
	h := s.hopFor(now, key, limits)
	set(&s.suspensions.hops, key)
	s.follow(now, h)
}

// ResumeHop ends the suspension of the hop key. It remains suspended if its
// domain is.
func (s *Scheduler) ResumeHop(now time.Time, key Key) {
	s.now = now
	delete(s.suspensions.hops, key)
	if h := s.hops[key]; h != nil {
		s.follow(now, h)
	}
}

// SuspendDomain suspends all hops whose destination is a domain in canonical
// form. An operator asked for it.
func (s *Scheduler) SuspendDomain(now time.Time, domain string) {
	set(&s.suspensions.domains, domain)
	s.followDomain(now, domain)
}

// ResumeDomain ends the suspension of a domain. Hops that are suspended
// themselves remain so.
func (s *Scheduler) ResumeDomain(now time.Time, domain string) {
	delete(s.suspensions.domains, domain)
	s.followDomain(now, domain)
}

// SuspensionsEnd notes when the next suspension ends; zero means never.
func (s *Scheduler) SuspensionsEnd(at time.Time) {
	s.suspensions.endAt = at
	if !at.IsZero() {
		s.wakeAt(at)
	}
}

func set[K comparable](m *map[K]bool, key K) {
	if *m == nil {
		*m = map[K]bool{}
	}
	(*m)[key] = true
}

func (s *Scheduler) followDomain(now time.Time, domain string) {
	s.now = now
	for _, h := range s.hopList {
		if addr.FoldDomain(h.Key.Destination) == domain {
			s.follow(now, h)
		}
	}
}

// follow suspends or resumes a hop after the suspensions have changed. The mail
// of a suspended hop goes back to the store.
func (s *Scheduler) follow(now time.Time, h *Hop) {
	h.suspended = s.suspensions.covers(h.Key)
	if h.suspended {
		s.putBack(s.takeAll(h))
	}
	s.watch(now, h)
}
