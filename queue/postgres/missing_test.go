package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// An operator is warned of messages whose content is missing, until they have ended.
func TestMissingContent(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for i, size := range []int{10, 10, 0, 3 * chunkSize} {
		if err := s.Put(t.Context(), &queue.Message{ID: fmt.Sprint("m", i), Recipients: queue.Rcpt("a@example.com"), Content: queue.String(strings.Repeat("x", size))}, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...string) {
		t.Helper()
		tidyNow(t, s)
		warnings := s.StoreStats().Warnings
		if len(warnings) != len(want) || len(want) > 0 && !strings.Contains(warnings[0], want[0]) {
			t.Errorf("the warnings are %q, want %q", warnings, want)
		}
	}
	check()
	for _, id := range []string{"m1", "m3"} {
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue(`delete from bridgehead.content where key = (select content from bridgehead.message where id = $1)`, id)
		}); err != nil {
			t.Fatal(err)
		}
	}
	check("the contents of 2 messages are not in the database, for example of message m")
	for _, id := range []string{"m1", "m3"} {
		if err := deleteMessage(t.Context(), s, id); err != nil {
			t.Fatal(err)
		}
	}
	check()
}
