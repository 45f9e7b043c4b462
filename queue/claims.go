package queue

import (
	"context"
	"errors"
	"time"
)

// claimMost is how many messages are claimed at a time.
const claimMost = 256

// claim claims what is due as far as there is room.
func (q *Queue) claim(now time.Time) error {
	for {
		q.mu.Lock()
		due := !q.claimAt.IsZero() && !q.claimAt.After(now) || now.Sub(q.claimedAt) >= heartbeat
		if q.idle() || q.full || !due {
			q.mu.Unlock()
			return nil
		}
		q.claimedAt = now
		if q.heldCopy == nil {
			q.heldCopy = make(map[NextHop]bool, len(q.held))
			for k := range q.held {
				q.heldCopy[k] = true
			}
		}
		except := q.heldCopy
		q.claimAt = time.Time{}
		q.mu.Unlock()

		c := Claim{Owner: q.owner, Until: now.Add(q.limits.Lease), Now: now, Except: except}
		size := claimMost
		if q.claims++; q.claims%8 == 0 { // so that urgent mail does not starve the rest
			c.LeastUrgent, size = true, claimMost/4
		}
		n, most, err := q.claimAdmit(c, size, nil)
		if errors.Is(err, ErrClosed) {
			return err
		}
		var next time.Time
		if err == nil && n < most {
			next, err = q.Store.Next(q.ctx, c)
			if n == 0 && !next.IsZero() && !next.After(now) {
				next = now.Add(time.Second) // another node was quicker, or the store errs
			}
		} else if err == nil {
			next = now
		}
		if err != nil {
			if q.ctx.Err() != nil {
				return nil
			}
			q.log.Error("queue: the store cannot be claimed from", "error", err)
			next = now.Add(mendMost)
		}
		if most == 0 {
			return nil
		}
		if !next.IsZero() {
			q.mu.Lock()
			q.claimAtLatest(next)
			q.mu.Unlock()
		}
	}
}

// claimAdmit claims up to most messages, as far as there is room, and makes
// them active; probe is the hop that they are to probe, or nil.
func (q *Queue) claimAdmit(c Claim, most int, probe *hop) (n, room int, err error) {
	q.mu.Lock()
	room = min(most, q.limits.Active-len(q.active)-q.reserved)
	if room <= 0 {
		q.full = true
		q.mu.Unlock()
		return 0, 0, nil
	}
	q.reserved += room
	q.mu.Unlock()
	c.Max = room
	ms, err := q.Store.Claim(q.ctx, c)
	for _, m := range ms {
		q.admit(&active{m: m, owner: q.owner, until: c.Until, probe: probe})
	}
	q.mu.Lock()
	q.unreserve(room - len(ms))
	q.mu.Unlock()
	return len(ms), room, err
}

// errNoRoom says that as many messages are active as may be.
var errNoRoom = errors.New("no room for another active message")

// claimFor claims mail that waits for one hop, for a probe or a sweep.
func (q *Queue) claimFor(h *hop, now time.Time, most int, probe *hop) (n int, err error) {
	n, room, err := q.claimAdmit(Claim{Owner: q.owner, Until: time.Now().Add(q.limits.Lease), Now: now, Only: &h.key}, most, probe)
	if err != nil && q.ctx.Err() == nil {
		q.log.Error("queue: the store cannot be claimed from", "hop", h.key, "error", err)
	}
	if err == nil && room == 0 {
		err = errNoRoom
	}
	return n, err
}

// reclaim begins with the messages that Run had claimed again before their
// last time in hand was quite over.
func (q *Queue) reclaim(now time.Time) {
	q.mu.Lock()
	ids := q.reclaims
	q.reclaims = nil
	q.mu.Unlock()
	for _, id := range ids {
		c := Claim{Owner: q.owner, Until: now.Add(q.limits.Lease), Now: now, ID: id}
		if _, _, err := q.claimAdmit(c, 1, nil); err != nil && q.ctx.Err() == nil {
			q.log.Error("queue: a message cannot be claimed again", "id", id, "error", err)
		}
	}
}

// renew extends the leases of messages that have been in hand for long.
func (q *Queue) renew(now time.Time) {
	const most = 1000 // at a time
	for {
		q.mu.Lock()
		if now.Before(q.renewAt) {
			q.mu.Unlock()
			return
		}
		until := now.Add(q.limits.Lease)
		var ids []string
		for id, a := range q.active {
			if a.until.Sub(now) <= q.limits.Lease/2 && !a.lost {
				if ids = append(ids, id); len(ids) == most {
					break
				}
			}
		}
		if len(ids) < most {
			q.renewAt = now.Add(q.limits.Lease / 4)
		}
		q.mu.Unlock()
		if len(ids) == 0 {
			return
		}
		lost, err := q.Store.Renew(context.Background(), q.owner, until, ids...)
		if err != nil {
			q.log.Error("queue: leases could not be renewed", "error", err)
			return
		}
		q.mu.Lock()
		for _, id := range ids {
			if a := q.active[id]; a != nil {
				a.until = until
			}
		}
		for _, id := range lost {
			if a := q.active[id]; a != nil {
				a.lost = true
			}
		}
		q.mu.Unlock()
	}
}
