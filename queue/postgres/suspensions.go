package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// suspensionLock is the key of the advisory lock for a change of the suspensions, so that
// several nodes together do not exceed the limit: "suspend" in ASCII.
const suspensionLock = 0x73757370656e64

const (
	lockSuspensions = `select pg_advisory_xact_lock($1)`
	// A statement sees what was committed before it began, which is after the lock.
	putSuspension = `
insert into bridgehead.suspension (connector, destination, domain, reason, by, since, until)
select $1, $2, $3, $4, $5, $6, $7
where (select count(*) from bridgehead.suspension where (connector, destination, domain) <> ($1, $2, $3)) < $8
on conflict (connector, destination, domain) do update
set reason = excluded.reason, by = excluded.by, since = excluded.since, until = excluded.until`
	removeSuspension = `delete from bridgehead.suspension where connector = $1 and destination = $2 and domain = $3 and since = $4`
	listSuspensions  = `select connector, destination, domain, reason, by, since, until from bridgehead.suspension`
)

var _ queue.SuspensionStore = (*Store)(nil)

// PutSuspension implements [queue.SuspensionStore].
func (s *Store) PutSuspension(ctx context.Context, p queue.Suspension) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	var until *time.Time
	if !p.Until.IsZero() {
		until = &p.Until
	}
	stored := false
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(lockSuspensions, int64(suspensionLock))
		b.Queue(putSuspension, []byte(p.Hop.Connector), []byte(p.Hop.Destination), []byte(p.Domain), []byte(p.Reason), []byte(p.By),
			p.Since, until, queue.MaxSuspensions).Exec(func(tag pgconn.CommandTag) error {
			stored = tag.RowsAffected() > 0
			return nil
		})
	})
	if err == nil && !stored {
		return queue.ErrFull
	}
	return err
}

// RemoveSuspension implements [queue.SuspensionStore].
func (s *Store) RemoveSuspension(ctx context.Context, p queue.Suspension) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(removeSuspension, []byte(p.Hop.Connector), []byte(p.Hop.Destination), []byte(p.Domain), p.Since)
	})
}

// Suspensions implements [queue.SuspensionStore].
func (s *Store) Suspensions(ctx context.Context) (all []queue.Suspension, err error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(listSuspensions).Query(func(rows pgx.Rows) error {
			all, err = pgx.CollectRows(rows, scanSuspension)
			return err
		})
	})
	return all, err
}

func scanSuspension(row pgx.CollectableRow) (p queue.Suspension, err error) {
	var connector, destination, domain, reason, by []byte
	var until *time.Time
	if err := row.Scan(&connector, &destination, &domain, &reason, &by, &p.Since, &until); err != nil {
		return p, err
	}
	p.Hop = queue.NextHop{Connector: string(connector), Destination: string(destination)}
	p.Domain, p.Reason, p.By = string(domain), string(reason), string(by)
	if until != nil {
		p.Until = *until
	}
	return p, nil
}
