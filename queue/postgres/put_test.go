package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// newMessage returns a small message with this ID.
func newMessage(id string) *queue.Message {
	return &queue.Message{
		ID: id, From: "alice@example.org", Recipients: queue.Rcpt("bob@example.net"), Received: received,
		Content: queue.String("Subject: " + id + "\r\n\r\nHello.\r\n"),
	}
}

// leasedTo returns the schedule of a message that owner has leased.
func leasedTo(owner string) queue.Schedule {
	return queue.Schedule{Owner: owner, Until: time.Now().Add(time.Hour)}
}

// stored returns the IDs of the messages in the database, in order.
func stored(t testing.TB, s *Store) []string {
	t.Helper()
	return one[[]string](t, s, "select array(select id from bridgehead.message order by id)")
}

// contentOf reads the content of a message from the database.
func contentOf(t testing.TB, s *Store, id string) string {
	t.Helper()
	var key, size int64
	err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue("select content, size from bridgehead.message where id = $1", id).QueryRow(func(row pgx.Row) error { return row.Scan(&key, &size) })
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.storedContent(id, key, size, nil, nil).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Messages that are put at the same time share transactions.
func TestPutInGroups(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	const n = 200
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := s.Put(context.Background(), newMessage(fmt.Sprintf("m%03d", i)), queue.Schedule{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(stored(t, s)); got != n {
		t.Errorf("%d messages are stored, want %d", got, n)
	}
	if got := contentOf(t, s, "m123"); got != "Subject: m123\r\n\r\nHello.\r\n" {
		t.Errorf("the content is %q", got)
	}
	h := s.stats.messages.Snapshot()
	if h.Sum != n || h.Count == n {
		t.Errorf("%d commits with %v messages; want %d messages in fewer commits", h.Count, h.Sum, n)
	}
	if h.Counts[len(h.Counts)-1] != 0 || h.Sum/float64(h.Count) > groupMessages {
		t.Errorf("groups with more than %d messages: %+v", groupMessages, h)
	}
}

// An ID that is in the queue already is an error of its own message only, also if the
// message with the same ID is in the same group.
func TestPutExists(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	if err := s.Put(t.Context(), newMessage("m1"), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	g := s.groups.new()
	ps := []*put{}
	for _, id := range []string{"m0", "m1", "m2", "m2"} {
		p, err := s.newPut(t.Context(), newMessage(id), queue.Schedule{})
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	s.commit(t.Context(), ps)
	for i, want := range []error{nil, queue.ErrExists, nil, queue.ErrExists} {
		<-ps[i].done
		if ps[i].err != want {
			t.Errorf("%s: %v, want %v", ps[i].row.id, ps[i].err, want)
		}
	}
	if got := stored(t, s); !slices.Equal(got, []string{"m0", "m1", "m2"}) {
		t.Errorf("stored are %v", got)
	}
	if _, err := s.fence(t.Context(), g); err != nil {
		t.Error(err)
	}
}

// The rows of groups whose outcome is known are removed by later groups, and by Close.
func TestPutRemovesOutcomes(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, nil)
	for i := range 2 * removeTogether {
		if err := s.Put(t.Context(), newMessage(fmt.Sprint("m", i)), leasedTo("a")); err != nil {
			t.Fatal(err)
		}
	}
	const count = "select count(*) from bridgehead.outcome"
	if n := one[int](t, s, count); n > removeTogether {
		t.Errorf("%d rows are left, want at most those of the last %d groups", n, removeTogether)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, open(t, url, nil), count); n != 0 {
		t.Errorf("Close leaves %d rows", n)
	}
}

// Removing the rows of groups does not read the dead rows of the groups before, which
// VACUUM cannot remove while a snapshot is old.
func TestRemovingOutcomesReadsNoDeadRows(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	add := func(n int) []int64 {
		ks := make([]int64, n)
		for i := range ks {
			ks[i] = s.groups.new().key
		}
		err := s.db.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue("insert into bridgehead.outcome (key, missing) select key, '{}' from unnest($1::bigint[]) k (key)", ks)
		})
		if err != nil {
			t.Fatal(err)
		}
		return ks
	}
	conn, err := s.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	snapshot, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Rollback(context.Background())
	if _, err := snapshot.Exec(t.Context(), "select from bridgehead.outcome"); err != nil {
		t.Fatal(err)
	}
	dead := add(20_000)
	if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(removeOutcomes, dead) }); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	err = s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue("explain (analyze, buffers, format json) "+removeOutcomes, add(removeTogether)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&plans)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := plans[0].Plan.Hit + plans[0].Plan.Read; n > 5*removeTogether {
		t.Errorf("removing %d rows reads %d buffers, beside %d dead rows", removeTogether, n, len(dead))
	}
}

// A large content is streamed, from memory or from a file that the caller may close
// afterwards.
func TestPutLarge(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	text := strings.Repeat("0123456789abcde\n", 5<<20/16)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	small := newMessage("small-file")
	small.Content = content.Section(file, 0, 100)
	large := newMessage("large-file")
	large.Content = content.Section(file, 0, int64(len(text)))
	memory := newMessage("large-memory")
	memory.Content = queue.String(text)
	for _, m := range []*queue.Message{small, large, memory} {
		if err := s.Put(t.Context(), m, leasedTo("a")); err != nil {
			t.Fatal(err)
		}
	}
	file.Close()
	if _, ok := queue.InMemory(memory.Content); !ok {
		t.Error("Put replaces a content that is in memory")
	}
	for _, m := range []*queue.Message{small, large, memory} {
		want := text[:m.Content.Size()]
		var b strings.Builder
		if _, err := m.Content.WriteTo(&b); err != nil || b.String() != want {
			t.Errorf("%s: m.Content has %d bytes that are equal: %v, %v", m.ID, b.Len(), b.String() == want, err)
		}
		if contentOf(t, s, m.ID) != want {
			t.Errorf("%s: the stored content differs", m.ID)
		}
	}
	// A content that cannot be read is an error, and nothing is stored.
	for _, size := range []int64{100, 3 << 20} {
		m := newMessage("unreadable")
		m.Content = content.Section(file, 0, size)
		if err := s.Put(t.Context(), m, queue.Schedule{}); !errors.Is(err, os.ErrClosed) || errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("Put of a content of %d bytes in a closed file returned %v", size, err)
		}
	}
	if err := s.Put(t.Context(), newMessage("next"), queue.Schedule{}); err != nil {
		t.Error(err)
	}
	if got := stored(t, s); len(got) != 4 {
		t.Errorf("stored are %v", got)
	}
}

// A message that was removed can be put again with the same ID at once, although the
// removal is not recorded yet.
func TestPutAfterRemove(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for range 3 {
		if err := s.Put(t.Context(), newMessage("m1"), leasedTo("a")); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), "a", "m1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.settle(t.Context()); err != nil || len(stored(t, s)) != 0 {
		t.Errorf("stored are %v, %v", stored(t, s), err)
	}
}
