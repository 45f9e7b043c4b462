package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// The limits of the table damaged, which has messages whose envelopes could not be read.
// When it is full, the oldest rows are deleted, as the spool deletes the oldest files of
// its directory damaged. The newest is always kept: it may be larger than damagedBytes.
const (
	damagedRows  = 10_000
	damagedBytes = 1 << 30
)

// moveDamaged moves a message out of the queue, with a copy of its bytes.
const moveDamaged = `
with m as (delete from bridgehead.message where id = $1 and lease = $2 returning *)
insert into bridgehead.damaged (id, envelope, state, content)
select m.id, m.envelope, m.state || coalesce((
  select string_agg(k.data, ''::bytea order by k.n desc) from bridgehead.content k
  where k.slot = m.slot and k.key = m.content and k.n < 0), ''::bytea), (
  select string_agg(k.data, ''::bytea order by k.n) from bridgehead.content k
  where k.slot = m.slot and k.key = m.content and k.n >= 0 and m.size <= 256 << 20)
from m`

// removeDamaged deletes the oldest rows until the table is within its limits. It reads the
// lengths of the columns and not their bytes.
const removeDamaged = `
with kept as (
  select ctid, row_number() over newest as rows, sum(octet_length(envelope)::bigint + octet_length(state)
    + coalesce(octet_length(content), 0)) over newest as bytes
  from bridgehead.damaged window newest as (order by at desc, id rows unbounded preceding)
)
delete from bridgehead.damaged where ctid in (select ctid from kept where rows > $1 or rows > 1 and bytes > $2)
returning id`

// putAside moves a leased message whose envelope cannot be read out of the queue.
func (s *Store) putAside(ctx context.Context, r *row, cause error) {
	err := s.db.tx(ctx, func(b *pgx.Batch) { b.Queue(moveDamaged, r.id, r.number) })
	if err != nil {
		// The lease ends, and the next claim tries again.
		s.log.Error("queue/postgres: a damaged message cannot be moved out of the queue", "id", r.id, "err", err)
		return
	}
	s.leases.release(r.id, r.number)
	s.log.Error("queue/postgres: the envelope of a message is damaged. The message is in the table bridgehead.damaged.",
		"id", r.id, "err", cause)
	s.limitDamaged(ctx, damagedRows, damagedBytes)
}

// limitDamaged deletes the oldest damaged messages that exceed a limit.
func (s *Store) limitDamaged(ctx context.Context, rows int, bytes int64) {
	var ids []string
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(removeDamaged, rows, bytes).Query(func(rs pgx.Rows) (err error) {
			ids, err = pgx.CollectRows(rs, pgx.RowTo[string])
			return err
		})
	})
	if err != nil {
		s.log.Error("queue/postgres: the table bridgehead.damaged cannot be limited; the next damaged message tries it again", "err", err)
		return
	}
	for _, id := range ids {
		s.log.Warn("queue/postgres: the table bridgehead.damaged is full, its oldest message was deleted", "id", id)
	}
}
