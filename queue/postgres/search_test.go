package postgres

import (
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

func TestAddressHash(t *testing.T) {
	a, b := addressHash{1}, addressHash{2}
	if a.of("Bob@Example.NET") != a.of("bob@example.net") || a.of("ÄRGER@example.net") != a.of("ärger@example.net") {
		t.Error("addresses that strings.ToLower makes equal have different hashes")
	}
	if a.of("bob@example.net") == a.of("rob@example.net") || a.of("bob@example.net") == b.of("bob@example.net") {
		t.Error("addresses or seeds that are different have the same hash")
	}
	if got := uint32(a.of("bob@Example.net") >> 32); got != a.domain("example.net") {
		t.Errorf("the hash of the domain is %x, want %x", got, a.domain("example.net"))
	}
	rs := queue.Rcpt("a@example.net", "b@example.net", "b@example.net")
	all := []int64{a.of("a@example.net"), a.of("b@example.net"), a.of("b@example.net")}
	rs[0].Status = queue.Delivered
	if got := a.recipients(rs); !slices.Equal(got, all[1:]) {
		t.Errorf("the recipients that wait: %x, want %x", got, all[1:])
	}
	rs[1].Status, rs[2].Status = queue.Failed, queue.Failed
	if got := a.recipients(rs); !slices.Equal(got, all) {
		t.Errorf("none waits: %x, want %x", got, all)
	}
	if a.recipients(nil) == nil {
		t.Error("nil, which is null in the database")
	}
}

// All nodes of a database have the same secret seed. Another database has another one.
func TestSeed(t *testing.T) {
	url := pgtest.Database(t)
	a, b, other := open(t, url, &Options{Node: "a"}), open(t, url, &Options{Node: "b"}), open(t, pgtest.Database(t), nil)
	if a.hash != b.hash || a.hash == other.hash || a.hash == (addressHash{}) {
		t.Errorf("seeds %x, %x, and of another database %x", a.hash, b.hash, other.hash)
	}
}

// The hops below 0 are those that the Queue considers aside.
func TestHopsAside(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	names, err := s.hops.names(t.Context(), []int32{-4, -3, -2, -1, 0})
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []queue.MessageStatus{queue.MessageSuspended, queue.MessagePoison, queue.MessageBad, queue.MessageResults} {
		id, ok := searchStatus(status)
		hop := names[id]
		if got := (&queue.Entry{Schedule: queue.Schedule{Hop: hop}}).Status(time.Now()); !ok || got != status {
			t.Errorf("hop %d is %v, whose messages have status %v, want %v", id, hop, got, status)
		}
	}
}

// searchPlan returns how PostgreSQL executes a statement with parameters.
func searchPlan(t testing.TB, s *Store, statement string, args ...any) (plan string) {
	t.Helper()
	err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue(customPlan)
		b.Queue("explain (analyze, buffers) "+statement, args...).Query(func(rows pgx.Rows) error {
			var line string
			_, err := pgx.ForEachRow(rows, []any{&line}, func() error {
				plan += line + "\n"
				return nil
			})
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// fillMixed stores n messages by SQL, from 1,000 senders to as many recipients as messages,
// for 100 hops. The first 20 are leased, and a half waits for a retry.
func fillMixed(t testing.TB, s *Store, n int) {
	t.Helper()
	run := func(statement string, args ...any) {
		t.Helper()
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(statement, args...) }); err != nil {
			t.Fatal(err)
		}
	}
	run(`insert into bridgehead.hop (id, connector, destination) select i, '', 'd' || i || '.example' from generate_series(1, 100) i`)
	for first := 1; first <= n; first += 20_000 { // a statement must end in time
		run(`insert into bridgehead.message
			(id, hop, prio, ready, wait, node, lease, size, received, attempted, slot, content, sender, rcpts, envelope, state)
			select 'm' || lpad(i::text, 8, '0'), 1 + i % 100, 0, i, 0, case when i <= 20 then 7 end, 0, 4096, i, i % 2 = 0, 0, i,
				hashint8extended(i % 1000, 1), array[hashint8extended(i, 2)], decode(repeat('00', 300), 'hex'), decode(repeat('00', 300), 'hex')
			from generate_series($1::bigint, $2::bigint) i`, first, min(first+19_999, n))
	}
	if err := s.runVacuum(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The cost of a search depends on what it finds, not on what is stored.
func TestSearchReadsWhatItFinds(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	fillMixed(t, s, 20_000)
	number := func(query string) *int64 { n := one[int64](t, s, query); return &n }
	sender, recipient := number(`select hashint8extended(5, 1)`), number(`select hashint8extended(10000, 2)`)
	id := "m00012345"
	most := 100 // buffers; the table has more than 2,000
	for _, tc := range []struct {
		name string
		args []any
		want int
	}{
		{"a sender", []any{"", nil, sender, nil, nil, nil, nil, nil, nil, nil, 0}, 20},
		{"a recipient", []any{"", nil, nil, recipient, nil, nil, nil, nil, nil, nil, 0}, 1},
		{"an ID", []any{"", nil, nil, nil, &id, nil, nil, nil, nil, nil, 0}, 1},
		{"the first page", []any{"", nil, nil, nil, nil, nil, nil, nil, nil, nil, 0}, 50},
		{"a page in the middle", []any{id, nil, nil, nil, nil, nil, nil, nil, nil, nil, 0}, 50},
		{"the retries", []any{"", nil, nil, nil, nil, nil, nil, nil, nil, given[int32](2, true), 0}, 50},
		{"poison", []any{"", nil, nil, nil, nil, nil, nil, nil, nil, given[int32](-2, true), 0}, 0},
	} {
		plan := searchPlan(t, s, searchSQL, append(tc.args, 50)...)
		rows := regexp.MustCompile(`actual time=\S+ rows=(\d+)`).FindStringSubmatch(plan)
		buffers := 0
		if found := regexp.MustCompile(`Buffers: (.*)`).FindStringSubmatch(plan); found != nil {
			for _, n := range regexp.MustCompile(`(?:hit|read)=(\d+)`).FindAllStringSubmatch(found[1], -1) {
				v, _ := strconv.Atoi(n[1])
				buffers += v
			}
		}
		if rows == nil || rows[1] != strconv.Itoa(tc.want) || buffers > most {
			t.Errorf("%s: %v, want %d; %d buffers, want at most %d\n%s", tc.name, rows, tc.want, buffers, most, plan)
		}
	}
}
