package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// An orphan is a message that the database has leased to this node, although no part of
// this node knows of the lease. If the connection breaks after the server has committed a
// claim, its answer is lost, and the node does not know which messages it has leased. No
// other node may claim them while this one is alive. So the Store looks for orphans at once
// when an answer is lost, and from time to time: the server may still execute the
// statement of a broken connection.

// orphanInterval is the time between two looks for orphans.
const orphanInterval = 30 * time.Second

// leasing has the calls in progress that lease stored messages.
type leasing struct {
	lost chan struct{} // has a value when there may be orphans; made by Open

	mu sync.Mutex
	// calls has the calls that have begun since the last call of earlier. Guarded by
	// mu.
	calls *sync.WaitGroup
}

// begin registers a call that leases messages. The caller calls end when it has added the
// leases.
func (l *leasing) begin() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = new(sync.WaitGroup)
	}
	l.calls.Add(1)
	return l.calls.Done
}

// earlier returns the calls that have begun before, and have perhaps not ended.
func (l *leasing) earlier() *sync.WaitGroup {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	if calls == nil {
		calls = new(sync.WaitGroup)
	}
	l.calls = new(sync.WaitGroup)
	return calls
}

// doubt reports that there may be orphans, so that the Store looks for them soon.
func (l *leasing) doubt() {
	select {
	case l.lost <- struct{}{}:
	default:
	}
}

// watchOrphans frees orphans until ctx ends.
func (s *Store) watchOrphans(ctx context.Context) {
	if s.clock.simulated {
		return
	}
	tick := time.NewTicker(orphanInterval)
	defer tick.Stop()
	for try := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.leasing.lost:
		case <-tick.C:
		}
		if err := s.freeOrphans(ctx); err == nil { // the db logs an error
			try = 1
		} else if sleep(ctx, backoff(try)) {
			try++
			s.leasing.doubt()
		}
	}
}

const selectLeased = `select id, lease from bridgehead.message where node = $1`

// freeOrphansSQL frees messages. They can be claimed as before: a lease does not change
// when they are ready.
const freeOrphansSQL = `
update bridgehead.message m set node = null
from unnest($2::text[], $3::bigint[]) o (id, lease)
where m.id = o.id and m.lease = o.lease and m.node = $1
returning m.hop, m.prio, m.ready, m.id`

// freeOrphans frees the messages that are leased to this node without its knowledge.
//
// The node knows a leased row at the latest when the call that leased it has ended. It
// forgets the row only after a later number of the lease, or its end, is in the database.
// So a row that is unknown after the end of all calls that were in progress is an orphan,
// and remains one.
func (s *Store) freeOrphans(ctx context.Context) error {
	node, err := s.node.incarnation()
	if err != nil {
		return nil // the other nodes free the messages of the last one
	}
	rows, err := s.leasedRows(ctx, node)
	if err != nil {
		return err
	}
	if rows = s.unknown(rows); len(rows) == 0 {
		return nil
	}
	if err := waitFor(ctx, s.leasing.earlier()); err != nil {
		return err
	}
	if rows = s.unknown(rows); len(rows) == 0 {
		return nil
	}
	ids, numbers := make([]string, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		ids[i], numbers[i] = r.id, r.number
	}
	freed, err := s.writeLanes(ctx, freeOrphansSQL, node, ids, numbers)
	if freed > 0 {
		s.log.Warn("postgres: messages can be claimed again, which the database had leased to this node without its knowledge",
			"messages", freed)
	}
	return err
}

// A leasedRow is a lease in the database.
type leasedRow struct {
	id     string
	number int64
}

// leasedRows returns the leases of a node in the database.
func (s *Store) leasedRows(ctx context.Context, node int64) (rows []leasedRow, err error) {
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		rows = nil
		b.Queue(selectLeased, node).Query(func(rs pgx.Rows) error {
			var r leasedRow
			_, err := pgx.ForEachRow(rs, []any{&r.id, &r.number}, func() error {
				rows = append(rows, r)
				return nil
			})
			return err
		})
	})
	return rows, err
}

// unknown returns those of rows of which this node knows nothing, or that it has ended.
func (s *Store) unknown(rows []leasedRow) []leasedRow {
	// A Put always learns its outcome, but perhaps much later.
	open := s.puts.open.of(rows)
	c := &s.changes
	// A lease leaves s.leases when its last change waits in s.changes. c.mu is locked
	// then, so each lease is in one of them.
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(rows, func(r leasedRow) bool {
		if open[r.id] || c.collecting.has([]string{r.id}) || c.recording.has([]string{r.id}) {
			return true
		}
		x, ok := s.leases.find(r.id)
		return ok && x.number == r.number && !x.ended
	})
}
