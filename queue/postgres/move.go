package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Limits on moving contents, so that the other work is not slowed down much.
const (
	moveMost    = 64 << 20 // bytes in a round
	moveIDsMost = 20_000   // messages in a round
	moveGroup   = 4 << 20  // bytes in a transaction
	moveIDs     = 200      // messages in a transaction
)

const findStragglers = `select id, size from bridgehead.message where slot = $1 limit $2`

// moveContents copies contents from one slot to another, and makes their messages refer
// to the copies. A chunk that is there already is the same, because keys are unique.
const moveContents = `
with m as (
	select id, slot, content from bridgehead.message where id = any($1) and slot = $2 for update skip locked
), c as (
	insert into bridgehead.content (slot, key, n, crc, data)
	select $3, c.key, c.n, c.crc, c.data from m join bridgehead.content c on c.slot = m.slot and c.key = m.content
	on conflict do nothing
)
update bridgehead.message set slot = $3 from m where message.id = m.id`

// moveStragglers moves the contents of messages from one slot to another, up to the
// limits. Checksums are not compared: a damaged chunk is copied as it is, and is found
// when it is read.
func (s *Store) moveStragglers(ctx context.Context, from, to int) (moved int, err error) {
	ids, sizes, err := s.stragglers(ctx, from)
	var done, group int64
	begin := 0
	for i := range ids {
		group += sizes[i]
		if i+1 < len(ids) && group < moveGroup && i+1-begin < moveIDs {
			continue
		}
		if err = s.db.tx(ctx, func(b *pgx.Batch) {
			b.Queue(moveContents, ids[begin:i+1], int16(from), int16(to))
		}); err != nil {
			return moved, err
		}
		moved += i + 1 - begin
		begin = i + 1
		if done, group = done+group, 0; done >= moveMost {
			break
		}
	}
	return moved, err
}

// stragglers returns messages that refer to a slot, and their sizes.
func (s *Store) stragglers(ctx context.Context, slot int) (ids []string, sizes []int64, err error) {
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(findStragglers, int16(slot), moveIDsMost).Query(func(rows pgx.Rows) error {
			ids, sizes = nil, nil
			var id string
			var size int64
			_, err := pgx.ForEachRow(rows, []any{&id, &size}, func() error {
				ids, sizes = append(ids, id), append(sizes, size)
				return nil
			})
			return err
		})
	})
	return ids, sizes, err
}
