package queue

import (
	"context"
	"errors"
	"time"
)

// ended notes that a part of a has ended, and says whether the caller must
// record that now. Called with mu held.
func (q *Queue) ended(a *active) (record bool) {
	a.left--
	switch {
	case a.recording:
		a.anew = true
		return false
	case a.left > 0 && !a.delivered:
		return false // the last part will take it along
	}
	a.recording = true
	return true
}

// record brings the store up to date with a. Its caller has set a.recording;
// that serializes the records of a message, whose parts end on several
// workers.
func (q *Queue) record(a *active) {
	for {
		q.mu.Lock()
		final := a.left == 0
		a.anew = false
		var m *Message
		s := Schedule{Owner: a.owner, Until: a.until}
		if !final {
			m = a.snapshot()
			a.delivered = false
		}
		lost := a.lost
		q.mu.Unlock()

		var err error
		switch {
		case lost:
			err = ErrLeaseLost
		case final:
			err = q.conclude(a)
		default:
			err = q.Store.Update(context.Background(), a.owner, m, s)
		}

		q.mu.Lock()
		switch {
		case errors.Is(err, ErrLeaseLost), errors.Is(err, ErrNotFound):
			a.lost = true
			if final {
				q.forget(a)
				q.mu.Unlock()
				q.log.Warn("queue: a message was taken out of our hands", "id", a.m.ID, "error", err)
				return
			}
		case err != nil:
			a.delivered, a.ending = true, false
			q.brokenBy(a, err)
			q.mu.Unlock()
			return
		case final:
			q.forget(a)
			q.mu.Unlock()
			return
		}
		if !a.anew {
			a.recording = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
	}
}

// conclude reports what is to be reported of a message whose parts have all
// ended, and then records how it stands. It may be called again after an
// error. No worker touches the message any more.
func (q *Queue) conclude(a *active) error {
	ctx := context.Background()
	q.mu.Lock()
	if a.tried {
		a.m.Interrupted = 0 // it did not kill us: only deaths in a row count
	}
	q.mu.Unlock()
	if len(a.failed) > 0 || len(a.delayed) > 0 || len(a.succeeded) > 0 {
		q.report(ctx, a)
	}
	q.mu.Lock()
	op := a.order // kept, should this have to be done again
	a.ending = true
	q.mu.Unlock()
	if op.what != 0 && a.waiting > 0 {
		return q.obey(ctx, a, NextHop{}, op)
	}
	if a.waiting == 0 {
		return q.Store.Remove(ctx, a.owner, a.m.ID)
	}
	q.mu.Lock()
	q.resettle(a, time.Now())
	q.mu.Unlock()
	s := a.schedule()
	if err := q.Store.Update(ctx, a.owner, a.m, s); err != nil {
		return err
	}
	q.mu.Lock()
	if !q.held[s.Hop] {
		q.claimAtLatest(s.Due)
	}
	q.mu.Unlock()
	return nil
}

// snapshot is the message as it is to be recorded while parts of it are still
// on their way: what has failed but is not reported yet still waits. Called
// with mu held.
func (a *active) snapshot() *Message {
	m := *a.m
	m.Recipients = make([]*Recipient, len(a.m.Recipients))
	copies := make([]Recipient, len(a.m.Recipients))
	failed := set(a.failed)
	for i, r := range a.m.Recipients {
		copies[i] = *r
		if failed[r] {
			copies[i].Status = Waiting
		}
		m.Recipients[i] = &copies[i]
	}
	return &m
}

// set has the recipients; of a message for thousands a search for each in a
// list would take seconds.
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

// forget ends a message's time in memory. Called with mu held.
func (q *Queue) forget(a *active) {
	delete(q.active, a.m.ID)
	q.memory -= a.bytes
	if a.reclaim {
		q.reclaims = append(q.reclaims, a.m.ID)
		q.signal()
	}
	q.nextSuspect(a)
	q.roomAgain()
}

// brokenBy notes that the store could not record what became of a. From now
// on nothing is delivered, until it can: delivered but not recorded would
// mean to deliver twice. Called with mu held.
func (q *Queue) brokenBy(a *active, err error) {
	q.unrecorded = append(q.unrecorded, a)
	if q.broken == nil {
		q.broken = err
		q.mendAt = time.Now().Add(mendFirst)
		q.mendWait = mendFirst
		q.log.Error("queue: deliveries suspended, the store cannot record", "id", a.m.ID, "error", err)
		q.wakeAt(q.mendAt)
	}
}

// How long to wait before the store is tried again: the first time, and at
// most.
const (
	mendFirst = time.Second
	mendMost  = time.Minute
)

// mend tries whether the store can record again, and if so lets it have what
// it could not take. It is Run's.
func (q *Queue) mend(now time.Time) {
	q.mu.Lock()
	if q.broken == nil || now.Before(q.mendAt) {
		q.mu.Unlock()
		return
	}
	q.mu.Unlock()
	err := q.Store.Sync(context.Background())
	q.mu.Lock()
	if err != nil {
		q.mendWait = min(2*q.mendWait, mendMost)
		q.mendAt = now.Add(q.mendWait)
		q.mu.Unlock()
		return
	}
	again := q.unrecorded
	q.unrecorded = nil
	q.mu.Unlock()
	for _, a := range again {
		q.record(a)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.unrecorded) > 0 {
		q.mendWait = min(2*q.mendWait, mendMost)
		q.mendAt = now.Add(q.mendWait)
		return
	}
	q.broken = nil
	q.log.Info("queue: deliveries resumed, the store records again")
	q.claimNow()
	q.kick()
}
