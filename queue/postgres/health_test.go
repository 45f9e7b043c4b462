package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// The figures of the tables are in StoreStats, and its warnings say what an operator
// should change.
func TestStoreStatsHaveTheFigures(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	if err := s.lookAtHealth(t.Context()); err != nil {
		t.Fatal(err)
	}
	stats := s.StoreStats()
	for _, name := range []string{"dead_rows", "oldest_transaction_seconds", "oldest_xmin_age", "bytes", "content_slots", "damaged_messages"} {
		if v, ok := stats.Figures[name]; !ok || v < 0 {
			t.Errorf("%s is %v, %t", name, v, ok)
		}
	}
	if stats.Figures["bytes"] == 0 || len(stats.Warnings) != 0 {
		t.Errorf("%+v", stats)
	}
	for want, h := range map[string]tableHealth{
		"a transaction has been open for 11m0s":      {oldest: 11 * time.Minute},
		"is 6000000 transactions old":                {xmin: 6_000_000},
		"the table of messages has 600000 dead rows": {dead: 600_000, live: 10},
		"3 damaged messages are in the table":        {damaged: 3},
	} {
		if w := h.warnings(); len(w) != 1 || !strings.Contains(w[0], want) {
			t.Errorf("%+v: %q", h, w)
		}
	}
}
