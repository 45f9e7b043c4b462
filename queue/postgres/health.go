package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// health has the figures of the tables that an operator should know. They are read in
// each round of maintenance.
type health struct {
	// unremovable is how many dead rows the last VACUUM has left.
	unremovable atomic.Int64

	mu      sync.Mutex // guards all below
	now     tableHealth
	missing []string // messages without content; see missing.go
}

// tableHealth are figures of the tables at one time.
type tableHealth struct {
	known      bool
	live, dead int64         // rows of the table of messages, as PostgreSQL estimates
	oldest     time.Duration // since the begin of the oldest transaction that other sessions have open
	xmin       int64         // transactions since the oldest one that VACUUM must keep rows for
	bytes      int64         // on disk, of messages and contents
	table      int64         // of that, the table of messages and its indexes
	slots      int           // that have content
	mayVacuum  bool          // this node has the right to
	damaged    int64         // rows of the table damaged
	missing    []string      // see health
}

// The oldest transaction is that of a session, of a standby with hot_standby_feedback, of a
// replication slot or of a prepared transaction. Without the rights of pg_read_all_stats,
// PostgreSQL hides the sessions of other users.
const readHealth = `
select pg_stat_get_live_tuples(m), pg_stat_get_dead_tuples(m),
	(select coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8
		from pg_stat_activity where backend_type = 'client backend' and backend_xmin is not null),
	(select coalesce(max(age(x)), 0)::bigint from (
		select backend_xmin from pg_stat_activity union all select xmin from pg_replication_slots
		union all select transaction from pg_prepared_xacts) o (x)),
	pg_total_relation_size(m), pg_total_relation_size(m) + (select sum(pg_total_relation_size(inhrelid))::bigint from pg_inherits where inhparent = c),
	(select count(*) from pg_inherits where inhparent = c and pg_relation_size(inhrelid) > 0),
	pg_has_role((select relowner from pg_class where oid = m), 'usage')
		or case when current_setting('server_version_num')::int >= 170000 then has_table_privilege(m, 'MAINTAIN') else false end,
	(select count(*) from bridgehead.damaged)
from (values ('bridgehead.message'::regclass, 'bridgehead.content'::regclass)) t (m, c)`

// readHealth reads the figures.
func (s *Store) readHealth(ctx context.Context) (h tableHealth, err error) {
	var oldest float64
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(readHealth).QueryRow(func(row pgx.Row) error {
			return row.Scan(&h.live, &h.dead, &oldest, &h.xmin, &h.table, &h.bytes, &h.slots, &h.mayVacuum, &h.damaged)
		})
	})
	h.known, h.oldest = err == nil, time.Duration(oldest*float64(time.Second))
	return h, err
}

// lookAtHealth reads the figures for [Store.StoreStats].
func (s *Store) lookAtHealth(ctx context.Context) error {
	h, err := s.readHealth(ctx)
	if err == nil {
		s.health.set(h)
	}
	return err
}

func (h *health) set(now tableHealth) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

func (h *health) get() tableHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now
	now.missing = h.missing
	return now
}

func (h *health) setMissing(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing = ids
}

// Limits from which on an operator is warned.
const (
	deadMost   = 500_000 // dead rows, and more than the messages
	oldestMost = 10 * time.Minute
	xminMost   = 5_000_000
)

// warnings returns what an operator should change.
func (h *tableHealth) warnings() (w []string) {
	if h.oldest > oldestMost {
		w = append(w, fmt.Sprintf("a transaction has been open for %s in the database; until it ends, VACUUM cannot remove dead rows",
			h.oldest.Round(time.Second)))
	} else if h.xmin > xminMost {
		w = append(w, fmt.Sprintf("a session, a standby, a replication slot or a prepared transaction in the database is %d transactions old; "+
			"until it ends, VACUUM cannot remove dead rows", h.xmin))
	}
	if h.dead > deadMost && h.dead > h.live {
		w = append(w, fmt.Sprintf("the table of messages has %d dead rows; check that autovacuum runs", h.dead))
	}
	if h.damaged > 0 {
		w = append(w, fmt.Sprintf("%d damaged messages are in the table bridgehead.damaged; look at them and delete them there, before it is full",
			h.damaged))
	}
	if n := len(h.missing); n > 0 {
		w = append(w, fmt.Sprintf("the contents of %d messages are not in the database, for example of message %s; they cannot be delivered",
			n, h.missing[0]))
	}
	return w
}

// figures are the figures for metrics.
func (h *tableHealth) figures() map[string]float64 {
	if !h.known {
		return nil
	}
	return map[string]float64{
		"dead_rows":                  float64(h.dead),
		"oldest_transaction_seconds": h.oldest.Seconds(),
		"oldest_xmin_age":            float64(h.xmin),
		"bytes":                      float64(h.bytes),
		"content_slots":              float64(h.slots),
		"damaged_messages":           float64(h.damaged),
	}
}
