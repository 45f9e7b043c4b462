package postgres

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The conditions of a search. A parameter that is null selects all messages: PostgreSQL
// plans each search with its parameters (customPlan), so such a condition costs nothing.
//
//	$1 after    $2 hops         $3 hash of the sender   $4 hash of a recipient   $5 ID
//	$6 and $7   the least and the largest size          $8 and $9   Since and Before
//	$10 status: see searchStatus                        $11 wall
const searchConditions = `id > $1 and ($2::integer[] is null or hop = any ($2))
	and ($3::bigint is null or sender = $3) and ($4::bigint is null or rcpts @> array[$4::bigint])
	and ($5::text is null or id = $5) and ($6::bigint is null or size >= $6) and ($7::bigint is null or size <= $7)
	and ($8::bigint is null or received >= $8) and ($9::bigint is null or received < $9)
	and ($10::integer is null or case when $10 < 0 then hop = $10 when hop < 0 then false
		when $10 = 1 then not attempted and (wait > 0 or due is null or due <= $11)
		when $10 = 2 then attempted
		when $10 = 3 then not attempted and wait = 0 and due > $11 end)`

// searchStatus returns parameter $10. The statuses below 0 are the hop of the message:
// see table bridgehead.hop. ok is false if no message has that status.
func searchStatus(status queue.MessageStatus) (value int32, ok bool) {
	switch status {
	case queue.MessageReady:
		return 1, true
	case queue.MessageRetry:
		return 2, true
	case queue.MessageHeld:
		return 3, true
	case queue.MessageSuspended:
		return -1, true
	case queue.MessagePoison:
		return -2, true
	case queue.MessageBad:
		return -3, true
	case queue.MessageResults:
		return -4, true
	}
	return 0, false
}

// The indexes by addresses only have the messages that are not leased, which are most of
// them if there are many. The others are at most Limits.Active for each node; index
// message_leased finds them.
const searchSQL = `
(select id, hop, prio, due, wait, node, size, received, attempted from bridgehead.message
	where node is null and ` + searchConditions + ` order by id limit $12)
union all
(select id, hop, prio, due, wait, node, size, received, attempted from bridgehead.message
	where node is not null and ` + searchConditions + ` order by id limit $12)
order by id limit $12`

const countSQL = `
select (select count(*) from bridgehead.message where node is null and ` + searchConditions + `)
	+ (select count(*) from bridgehead.message where node is not null and ` + searchConditions + `)`

// customPlan has a statement planned for the values of its parameters. It holds for the
// transaction.
const customPlan = `select set_config('plan_cache_mode', 'force_custom_plan', true)`

// searchPage is how many messages Search reads at a time.
const searchPage = 1000

var _ queue.Searcher = (*Store)(nil)

// Search implements [queue.Searcher].
func (s *Store) Search(ctx context.Context, q queue.Search) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for more := true; more; {
			page, err := s.searchPage(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				q.After = e.ID
			}
			more = len(page) == searchPage
		}
	}
}

// searchPage returns the first messages that q selects.
func (s *Store) searchPage(ctx context.Context, q queue.Search) ([]*queue.Entry, error) {
	args, ok, err := s.searchArgs(ctx, &q)
	if !ok || err != nil {
		return nil, err
	}
	return s.readEntries(ctx, func(b *pgx.Batch) *pgx.QueuedQuery {
		b.Queue(customPlan)
		return b.Queue(searchSQL, append(args, searchPage)...)
	})
}

// CountMatches implements [queue.Searcher].
func (s *Store) CountMatches(ctx context.Context, q queue.Search) (n int, err error) {
	args, ok, err := s.searchArgs(ctx, &q)
	if !ok || err != nil {
		return 0, err
	}
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(customPlan)
		b.Queue(countSQL, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
	})
	return n, err
}

// searchArgs returns the parameters of searchConditions. ok is false if there can be no
// such message.
func (s *Store) searchArgs(ctx context.Context, q *queue.Search) (args []any, ok bool, err error) {
	if err := s.settle(ctx); err != nil {
		return nil, false, err
	}
	hops, ok, err := s.queriedHops(ctx, q.Query)
	if !ok || err != nil {
		return nil, false, err
	}
	status, ok := searchStatus(q.Status)
	if !ok && q.Status != 0 {
		return nil, false, nil
	}
	from := q.From
	if from == "<>" {
		from = ""
	}
	return []any{storableText(q.After), hops, given(s.hash.of(from), q.From != ""), given(s.hash.of(q.Recipient), q.Recipient != ""),
		given(storableText(q.ID), q.ID != ""), given(q.MinSize, q.MinSize > 0), given(q.MaxSize, q.MaxSize > 0),
		given(nanos(q.Since), !q.Since.IsZero()), given(nanos(q.Before), !q.Before.IsZero()),
		given(status, q.Status != 0), nanos(q.Wall)}, true, nil
}

// given returns a parameter, which is null if the search does not have it.
func given[T any](v T, is bool) *T {
	if !is {
		return nil
	}
	return &v
}
