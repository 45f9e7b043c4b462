package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// The clock of the database was set back by an hour. The messages whose wait seems to begin
// in the future become due, one group at each claim. Others keep their times.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	const waiting = endWaitsGroup + 10
	fillDummies(t, s, waiting+1, 1, hopA)
	if err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue(`update bridgehead.message set wait = $1, due = bridgehead.nanos() + $2 + $1, ready = bridgehead.nanos() + $2 + $1`,
			int64(time.Minute), int64(time.Hour))
		b.Queue(`update bridgehead.message set wait = $1 where id = 'dummy1'`, int64(2*time.Hour))
	}); err != nil {
		t.Fatal(err)
	}
	later := func() int {
		return one[int](t, s, "select count(*) from bridgehead.message where ready > bridgehead.nanos()")
	}
	c := nowClaim("o", 1)
	c.Only = &hopB
	claimed(t, s, c)
	if n := later(); n != waiting+1 {
		t.Errorf("%d messages wait before the clock was set back, want %d", n, waiting+1)
	}
	s.clock.setBack.Store(true)
	claimed(t, s, c)
	if n := later(); n != waiting+1-endWaitsGroup {
		t.Errorf("%d messages wait after the first claim, want %d", n, waiting+1-endWaitsGroup)
	}
	claimed(t, s, c)
	if n := later(); n != 1 {
		t.Errorf("%d messages wait after the second claim, want 1", n)
	}
}
