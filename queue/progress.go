package queue

// A progress is a copy of a message, as it is recorded while parts of it are
// still in delivery: a recipient that has failed and is not reported yet is
// Waiting. The first record has all recipients. Later records have only those
// that have changed since, so that the cost of all records together grows with
// the number of recipients and not with its square.
//
// The lock of the Queue is held while a progress is made or changed. Only the
// goroutine that records the message does that, so it can read the progress
// without the lock.
type progress struct {
	m       Message
	copies  []Recipient
	index   map[*Recipient]int // the positions of the recipients
	changed []int              // the positions that differ from the last record
}

// snapshot returns a progress of the message as it is now. It is called in a step.
func (a *active) snapshot() *progress {
	n := len(a.m.Recipients)
	p := &progress{m: *a.m, copies: make([]Recipient, n)}
	p.m.Recipients = make([]*Recipient, n)
	var failed map[*Recipient]bool
	if a.due != nil {
		failed = set(a.due.failed)
	}
	for i, r := range a.m.Recipients {
		p.copies[i] = *r
		if failed[r] {
			p.copies[i].Status = Waiting
		}
		p.m.Recipients[i] = &p.copies[i]
	}
	a.touched = nil
	return p
}

// advance brings the progress of the message up to date. whole means that the
// record must have all recipients. It is called in a step.
func (a *active) advance() (p *progress, whole bool) {
	if a.progress == nil {
		a.progress = a.snapshot()
		return a.progress, true
	}
	p = a.progress
	if p.index == nil {
		p.index = make(map[*Recipient]int, len(a.m.Recipients))
		for i, r := range a.m.Recipients {
			p.index[r] = i
		}
	}
	p.changed = p.changed[:0]
	for _, r := range a.touched {
		i := p.index[r]
		p.copies[i] = *r
		if r.Status == Failed || r.Status == Expired {
			p.copies[i].Status = Waiting // not reported before the last part ends
		}
		p.changed = append(p.changed, i)
	}
	a.touched = a.touched[:0]
	return p, false
}

// set returns rs as a map. In a message with thousands of recipients, linear
// searches would take seconds.
func set(rs []*Recipient) map[*Recipient]bool {
	if len(rs) == 0 {
		return nil
	}
	s := make(map[*Recipient]bool, len(rs))
	for _, r := range rs {
		s[r] = true
	}
	return s
}
