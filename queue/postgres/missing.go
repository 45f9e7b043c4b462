package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// A message whose content is not in the database cannot be delivered. That cannot happen by
// what a Store does, but by a table that was damaged, or restored without the others. So
// the node that tidies looks for such messages, and an operator is warned of them.

// missingMost is the maximum number of messages that are looked for.
const missingMost = 1000

const readMissing = `
select m.id from bridgehead.message m
where m.size > 0 and ($1::text[] is null or m.id = any($1))
	and not exists (select from bridgehead.content k where k.slot = m.slot and k.key = m.content and k.n = 0)
limit $2`

// lookForMissing finds the messages without content. It reads the rows of all messages and
// an index of their contents. A message whose content is moved while the statement runs may
// seem to have none (see [storedContent.read]), so those that are found are read again.
func (s *Store) lookForMissing(ctx context.Context) error {
	var ids []string
	for again := range 2 {
		if again > 0 && len(ids) == 0 {
			break
		}
		err := s.db.tx(ctx, func(b *pgx.Batch) {
			b.Queue(readMissing, ids, missingMost).Query(func(rows pgx.Rows) (err error) {
				ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	s.health.setMissing(ids)
	return nil
}
