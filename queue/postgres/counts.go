package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// sqlAddCounts adds to counts. A count begins again in each period, and keeps that of
// the period before.
const sqlAddCounts = `with asked as (
		select d.*, floor(extract(epoch from statement_timestamp())::float8 / d.per)::bigint as period
		from unnest($1::bytea[], $2::float8[], $3::float8[], $4::float8[]) as d (key, per, messages, recipients))
	insert into bridgehead.count as c (key, per, period, messages, recipients)
	select key, per, period, messages, recipients from asked order by key
	on conflict (key) do update set period = excluded.period,
		messages_before = case c.period when excluded.period then c.messages_before
			when excluded.period - 1 then c.messages else 0 end,
		recipients_before = case c.period when excluded.period then c.recipients_before
			when excluded.period - 1 then c.recipients else 0 end,
		messages = case c.period when excluded.period then c.messages else 0 end + excluded.messages,
		recipients = case c.period when excluded.period then c.recipients else 0 end + excluded.recipients
	returning key, messages, messages_before, recipients, recipients_before,
		extract(epoch from statement_timestamp())::float8 / per - period`

// AddCounts implements [queue.CountSharer]. The keys must be different. A crash of the
// database server may lose the counts of the last second.
func (s *Store) AddCounts(ctx context.Context, counts []queue.SharedCount) ([]queue.SharedCount, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	n := len(counts)
	keys, pers := make([][]byte, n), make([]float64, n)
	messages, recipients := make([]float64, n), make([]float64, n)
	totals, places := make([]queue.SharedCount, n), make(map[limitKey]int, n)
	for i, c := range counts {
		key := hashKey(strconv.FormatInt(int64(c.Per), 10) + " " + c.Key)
		totals[i], places[key] = c, i
		keys[i], pers[i] = key[:], max(c.Per, time.Microsecond).Seconds()
		messages[i], recipients[i] = c.Messages, c.Recipients
	}
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`select set_config('synchronous_commit', 'off', true)`)
		b.Queue(sqlAddCounts, keys, pers, messages, recipients).Query(func(rows pgx.Rows) error {
			var key []byte
			var m, mBefore, r, rBefore, part float64
			_, err := pgx.ForEachRow(rows, []any{&key, &m, &mBefore, &r, &rBefore, &part}, func() error {
				t, left := &totals[places[limitKey(key)]], 1-part
				t.Messages, t.Recipients = m+left*mBefore, r+left*rBefore
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return totals, nil
}
