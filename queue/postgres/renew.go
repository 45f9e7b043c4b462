package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Renew implements [queue.Store]. It writes nothing, unless a lease has ended.
func (s *Store) Renew(ctx context.Context, owner string, until time.Time, ids ...string) (lost []string, err error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	for _, id := range s.leases.renew(owner, until, ids) {
		x, ok := s.leases.find(id)
		if !ok || x.schedule.Owner != owner {
			lost = append(lost, id)
			continue
		}
		number, err := s.regain(ctx, id, x)
		if err != nil {
			return nil, err
		}
		if number == 0 {
			lost = append(lost, id)
			continue
		}
		x.schedule.Until = until
		s.leases.change(id, number, x.schedule)
	}
	return lost, nil
}

// leaseOf returns the number of the lease that owner has on a message, for an Update or a
// Remove. An owner whose lease has ended leases the message again. The error is
// ErrLeaseLost if owner has no lease, and ErrNotFound if there is no such message.
func (s *Store) leaseOf(ctx context.Context, owner, id string) (number int64, err error) {
	if x, err := s.leases.holds(owner, id); err == nil {
		return x.number, nil
	}
	// This is rare, so it may cost a round trip.
	if err := s.settle(ctx); err != nil {
		return 0, err
	}
	if x, ok := s.leases.find(id); ok && owner != "" && x.schedule.Owner == owner {
		if !x.ended {
			return x.number, nil
		}
		if number, err := s.regain(ctx, id, x); number != 0 || err != nil {
			return number, err
		}
	}
	exists, err := s.exists(ctx, id)
	if err != nil {
		return 0, err
	}
	if !exists {
		return 0, queue.ErrNotFound
	}
	return 0, queue.ErrLeaseLost
}

// regainSQL leases a message again if no other owner has leased it since. The end of
// the lease may have come before the record of an Update that kept it: then the row is
// leased with the number.
const regainSQL = `
with regained as (
	update bridgehead.message set node = $2, lease = lease + 1
	where id = $3 and lease = $4 and (node is null or node = $2)
	returning id)
insert into bridgehead.outcome (key, missing)
values ($1, array(select 1 where not exists (select from regained)))
returning missing`

// regainTimeout is how long an owner waits for the answer of the database whether it has
// the lease again.
const regainTimeout = 10 * time.Second

// regain leases a message again whose lease x has ended. The number is 0 if another
// owner has leased it since, or if it is not in the store. The outcome is always found
// out, because the number of the new lease must be known: otherwise a result of this
// owner could not be recorded, although no other owner has the message.
func (s *Store) regain(ctx context.Context, id string, x lease) (number int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, regainTimeout)
	defer cancel()
	defer s.leasing.begin()()
	node, err := s.node.incarnation()
	if err != nil {
		return 0, err
	}
	g := s.groups.new()
	err = s.once(ctx, g, func(b *pgx.Batch) { g.queue(b, regainSQL, g.key, node, id, x.number) })
	switch {
	case err != nil:
		if errors.Is(err, errOutcomeUnknown) {
			s.leasing.doubt()
		}
		return 0, err
	case len(g.missing) > 0:
		s.leases.release(id, x.number)
		return 0, nil
	}
	// Without an answer here, only the order of the next claim may be wrong.
	if hop, ok, err := s.hops.find(ctx, x.schedule.Hop); err == nil && ok {
		s.lanes.left(hop)
	}
	return x.number + 1, s.leases.add(node, id, x.number+1, x.interrupted, x.schedule)
}

// exists reports whether a message is in the database.
func (s *Store) exists(ctx context.Context, id string) (found bool, err error) {
	if queue.ValidID(id) != nil {
		return false, nil
	}
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`select exists (select from bridgehead.message where id = $1)`, id).QueryRow(func(row pgx.Row) error {
			return row.Scan(&found)
		})
	})
	return found, err
}
