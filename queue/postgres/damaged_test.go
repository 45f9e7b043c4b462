package postgres

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A damaged message is moved to the table damaged, with its bytes. The table has a limit:
// the oldest message is deleted, with a line in the log. A warning says that there are some.
func TestDamagedIsBounded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t, pgtest.Database(t), &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	run(t, s.db, `insert into bridgehead.damaged (id, at, envelope, state)
		select 'old' || n, clock_timestamp() - n * interval '1 hour', '', '' from generate_series(1, $1::int) n`, damagedRows)
	if err := s.Put(t.Context(), plainMessage("new", 1000), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	run(t, s.db, `update bridgehead.message set envelope = 'not an envelope'`)
	now := time.Now()
	ms, err := s.Claim(t.Context(), queue.Claim{Owner: "p", Now: now, Until: now.Add(time.Hour), Max: 1})
	if err != nil || len(ms) != 0 {
		t.Fatalf("claimed %d messages, %v", len(ms), err)
	}
	if n := one[int](t, s, `select count(*) from bridgehead.damaged`); n != damagedRows {
		t.Errorf("%d rows", n)
	}
	if n := one[int](t, s, `select octet_length(content) from bridgehead.damaged where id = 'new'`); n != 1000 {
		t.Errorf("the content has %d bytes", n)
	}
	oldest := fmt.Sprint("old", damagedRows)
	if one[bool](t, s, `select exists (select from bridgehead.damaged where id = $1)`, oldest) {
		t.Error("the oldest is there")
	}
	h, err := s.readHealth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(h.warnings(), "\n"); !strings.Contains(w, "10000 damaged messages") {
		t.Errorf("the warnings are %q", w)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"is damaged. The message is in the table bridgehead.damaged.\" id=new", "its oldest message was deleted\" id=" + oldest + "\n"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("no line %q in the log:\n%s", want, &log)
		}
	}
}

// Bytes are limited too. The newest message is kept, however large it is.
func TestDamagedBytesAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), &Options{Pooler: true})
	run(t, s.db, `insert into bridgehead.damaged (id, at, envelope, state, content)
		select 'm' || n, clock_timestamp() - n * interval '1 hour', 'env', 'st', decode(repeat('00', 95), 'hex') from generate_series(1, 5) n`)
	for _, c := range []struct {
		bytes int64
		left  []string
	}{
		{500, []string{"m1", "m2", "m3", "m4", "m5"}},
		{300, []string{"m1", "m2", "m3"}},
		{299, []string{"m1", "m2"}},
		{1, []string{"m1"}},
	} {
		s.limitDamaged(t.Context(), 5, c.bytes)
		var left []string
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue(`select id from bridgehead.damaged order by id`).Query(func(rows pgx.Rows) (err error) {
				left, err = pgx.CollectRows(rows, pgx.RowTo[string])
				return err
			})
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(left, c.left) {
			t.Errorf("%d bytes: %v are left, want %v", c.bytes, left, c.left)
		}
	}
}
