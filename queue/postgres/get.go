package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

const getSQL = `
select m.size, m.content, m.interrupted, m.envelope, m.state, ` + selectParts + `, k.data, k.crc
from bridgehead.message m
left join bridgehead.content k on k.slot = m.slot and k.key = m.content and k.n = 0
where m.id = $1`

// Get implements [queue.Store].
func (s *Store) Get(ctx context.Context, id string) (*queue.Message, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if queue.ValidID(id) != nil {
		return nil, queue.ErrNotFound
	}
	if err := s.settle(ctx, id); err != nil {
		return nil, err
	}
	var r *row
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		r = nil
		b.Queue(getSQL, id).Query(func(rows pgx.Rows) error {
			if !rows.Next() {
				return rows.Err()
			}
			r = &row{m: &queue.Message{ID: id}, position: position{id: id}}
			return rows.Scan(&r.size, &r.content, &r.interrupted, &r.envelope, &r.state, &r.partCount, &r.parts, &r.chunk, &r.crc)
		})
	})
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, queue.ErrNotFound
	}
	if err := s.decode(ctx, r); err != nil {
		return nil, err
	}
	return r.m, nil
}
