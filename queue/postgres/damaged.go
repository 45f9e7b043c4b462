package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
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
}
