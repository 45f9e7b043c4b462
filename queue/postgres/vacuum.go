package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The rows of the table of messages change several times in the life of a message, so
// it needs VACUUM more often than autovacuum does it: by default once a minute, in which
// half a million rows may die. A maintenance round runs VACUUM if many rows are dead. That
// needs the rights of the owner of the table (or MAINTAIN, from PostgreSQL 17 on). Without
// them, autovacuum does all of it, and the tables become larger at times.

// vacuumLeast is the number of dead rows for which VACUUM is worth its cost.
const vacuumLeast = 20_000

const vacuumMessages = `vacuum (truncate, analyze) bridgehead.message`

// vacuum runs VACUUM on the table of messages if that is useful.
func (s *Store) vacuum(ctx context.Context) error {
	h := s.health.get()
	// Rows that the last VACUUM could not remove, because an old transaction may still
	// see them, are not a reason for the next one.
	if !h.mayVacuum || h.dead < vacuumLeast+h.live/10 || h.dead < 2*s.health.unremovable.Load() {
		return nil
	}
	if err := s.runVacuum(ctx); err != nil {
		return err
	}
	// Its result reaches the statistics at once, those of others within a second or so.
	after, err := s.readHealth(ctx)
	if err != nil {
		return err
	}
	s.health.set(after)
	s.health.unremovable.Store(after.dead)
	return nil
}

// runVacuum runs VACUUM, which cannot be in a transaction and may take longer than
// statementTimeout.
func (s *Store) runVacuum(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundMost)
	defer cancel()
	conn, err := s.db.pool.Acquire(ctx)
	if err != nil {
		return newError(err, false)
	}
	defer conn.Release()
	if !s.db.pooler {
		if _, err := conn.Exec(ctx, `set statement_timeout = 0`); err != nil {
			return newError(err, false)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if _, err := conn.Exec(ctx, `reset statement_timeout`); err != nil {
				conn.Conn().Close(ctx)
			}
		}()
	}
	if _, err := conn.Exec(ctx, vacuumMessages, pgx.QueryExecModeSimpleProtocol); err != nil {
		return newError(err, false)
	}
	return nil
}
