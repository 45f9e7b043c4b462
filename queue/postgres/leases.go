package postgres

import (
	"fmt"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// In the database, a lease is two columns of a message: node, the node that has the
// message, and lease, a number. The owner of the lease, and its end, are only
// in the memory of the node: leases. So renewing 20,000 leases writes nothing. If the
// node dies, another node ends its leases: see takeover.go.
//
// The rules:
//
//   - Each new lease and each takeover adds 1 to the number. Each record has the
//     condition that the number is still that of the lease (where id = $1 and lease =
//     $2). So a node that has lost a message records nothing.
//   - A lease with Until in the past is over only when its own node has ended it in the
//     database: node becomes null, ready becomes Until, and the number stays. Claim and
//     Next do this before they look, and the Store does it once a second.
//   - An owner may still record after that if no other owner has leased the message since,
//     which the number shows. So leases keeps ended leases, up to a number, and
//     the owner leases the message again first: see Store.leaseOf.
//   - Put and claims call add, Update that keeps the lease calls change, and Update that
//     does not, and Remove, call release, when the record has its place in a group. The
//     row of a message that is not in leases any more is leased until the record is
//     written.
//   - A node that the others have taken for dead calls reset, and begins a new
//     incarnation. add refuses a lease of an earlier one.
//   - A row that is leased although no part of this node knows it is freed: see
//     orphans.go.
type leases struct {
	// incarnation returns the present one. It is set by Open.
	incarnation func() (int64, error)

	mu   sync.Mutex
	byID map[string]lease // guarded by mu
	// earliest is not after any Until in byID that is not ended. Guarded by mu.
	earliest time.Time
}

// A lease is the lease of this node on one message.
type lease struct {
	number int64
	// interrupted is the column of the message, as it was read with the message.
	interrupted int
	// schedule is the schedule with Owner and Until, all by the clock of the Queue.
	schedule queue.Schedule
	ended    bool // in the database, because it was over
}

// keepEnded is the maximum number of ended leases that are kept, and lookAgain the longest
// time after which leases are looked through again, by the clock of the Queue.
const (
	keepEnded = 20_000
	lookAgain = 10 * time.Minute
)

// add records a new lease on a message, which the database has given to an incarnation
// of this node. s.Owner has it. If another incarnation has begun, or this one has ended,
// the lease is lost, and add returns an error.
func (l *leases) add(node int64, id string, number int64, interrupted int, s queue.Schedule) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The incarnation ends before reset is called. So reset removes the lease, or add
	// refuses it.
	if now, err := l.incarnation(); err != nil || now != node {
		return fmt.Errorf("%w: this node was declared dead before it knew that it had leased a message", queue.ErrUnavailable)
	}
	l.set(id, lease{number: number, interrupted: interrupted, schedule: s})
	return nil
}

func (l *leases) set(id string, x lease) {
	if l.byID == nil {
		l.byID = make(map[string]lease)
	}
	if len(l.byID) == 0 || x.schedule.Until.Before(l.earliest) {
		l.earliest = x.schedule.Until
	}
	l.byID[id] = x
}

// holds returns the lease that owner has on the message. The error is ErrLeaseLost if
// owner has none, or if it is ended.
func (l *leases) holds(owner, id string) (lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.byID[id]
	if !ok || x.ended || owner == "" || x.schedule.Owner != owner {
		return lease{}, queue.ErrLeaseLost
	}
	return x, nil
}

// find returns the lease on a message, which may be ended.
func (l *leases) find(id string) (lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.byID[id]
	return x, ok
}

// change gives a message that is leased with this number a new schedule. s.Owner has
// the lease.
func (l *leases) change(id string, number int64, s queue.Schedule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.byID[id]; x.number == number {
		l.set(id, lease{number: number, interrupted: x.interrupted, schedule: s})
	}
}

// release forgets the lease with this number.
func (l *leases) release(id string, number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[id].number == number {
		delete(l.byID, id)
	}
}

// renew extends the leases of owner to until. It returns the IDs of the messages that
// owner has not leased, or whose lease is ended, in the order of ids.
func (l *leases) renew(owner string, until time.Time, ids []string) (lost []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		x, ok := l.byID[id]
		if !ok || x.ended || owner == "" || x.schedule.Owner != owner {
			lost = append(lost, id)
			continue
		}
		x.schedule.Until = until
		l.set(id, x)
	}
	return lost
}

// An over is a lease that is over and must be ended in the database.
type over struct {
	id string
	lease
}

// over returns the leases whose Until is not after now and that are not ended.
func (l *leases) over(now time.Time) (os []over) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byID) == 0 || now.Before(l.earliest) {
		return nil
	}
	l.earliest = now.Add(lookAgain)
	ended := 0
	for id, x := range l.byID {
		switch until := x.schedule.Until; {
		case x.ended:
			if ended++; ended > keepEnded { // any of them
				delete(l.byID, id)
			}
		case !until.After(now):
			os = append(os, over{id, x})
			l.earliest = now // until end is called
		case until.Before(l.earliest):
			l.earliest = until
		}
	}
	return os
}

// end marks leases as ended, after their end was written. A lease that was renewed
// or has changed in the meantime is ended too: its owner leases the message again.
func (l *leases) end(os []over) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range os {
		if x, ok := l.byID[o.id]; ok && x.number == o.number {
			x.ended = true
			l.byID[o.id] = x
		}
	}
}

// each calls f for each lease that is not ended, until f returns false. f must not
// call a method of l.
func (l *leases) each(f func(id string, s *queue.Schedule) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, x := range l.byID {
		if !x.ended && !f(id, &x.schedule) {
			return
		}
	}
}

// reset forgets all leases: other nodes have taken the messages over.
func (l *leases) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.byID)
}
