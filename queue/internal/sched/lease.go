package sched

import "time"

// renewMost is how many leases are renewed at a time.
const renewMost = 1000

// LeasesDue is the part of Due that renews leases: the messages whose leases
// are half over, at most renewMost. It plans the next look when there are no
// more.
func (s *Scheduler) LeasesDue(now time.Time) Task {
	if now.Before(s.renewAt) {
		return Task{}
	}
	var due []*Message
	for m := s.leases.first; m != nil && m.Lease.Sub(now) <= s.limits.Lease/2 && len(due) < renewMost; m = m.leaseNext {
		due = append(due, m)
	}
	if len(due) < renewMost {
		s.renewAt = now.Add(s.limits.Lease / 4)
	}
	if len(due) == 0 {
		return Task{}
	}
	return Task{Kind: Renew, Msgs: due, At: now.Add(s.limits.Lease)}
}

// renewed notes how the renewal of a lease ended.
func (s *Scheduler) renewed(m *Message, until time.Time, lost, failed bool) {
	switch {
	case s.active[m.ID] != m: // it has left meanwhile
	case lost:
		s.lose(m)
	case !failed && !m.lost:
		s.leases.remove(m)
		m.Lease = until
		s.leases.add(m)
	}
}

// lose notes that another owner has the lease of m.
func (s *Scheduler) lose(m *Message) {
	m.lost = true
	s.leases.remove(m)
}

// leaseList has messages in the order of their leases' ends.
type leaseList struct{ first, last *Message }

// add enters a message. Most leases end after all others.
func (l *leaseList) add(m *Message) {
	before := l.last
	for before != nil && before.Lease.After(m.Lease) {
		before = before.leasePrev
	}
	m.leasePrev, m.leased = before, true
	if before == nil {
		m.leaseNext, l.first = l.first, m
	} else {
		m.leaseNext, before.leaseNext = before.leaseNext, m
	}
	if m.leaseNext == nil {
		l.last = m
	} else {
		m.leaseNext.leasePrev = m
	}
}

// remove takes a message out, if it is in.
func (l *leaseList) remove(m *Message) {
	if !m.leased {
		return
	}
	if m.leasePrev == nil {
		l.first = m.leaseNext
	} else {
		m.leasePrev.leaseNext = m.leaseNext
	}
	if m.leaseNext == nil {
		l.last = m.leasePrev
	} else {
		m.leaseNext.leasePrev = m.leasePrev
	}
	m.leasePrev, m.leaseNext, m.leased = nil, nil, false
}
