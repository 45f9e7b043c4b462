package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

// listener returns a connection that receives the notifications of the nodes.
func listener(t testing.TB, s *Store) *pgx.Conn {
	t.Helper()
	c, err := s.db.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(c) })
	if _, err := c.Exec(t.Context(), "listen "+channel); err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitPayload waits for a notification with one of the payloads.
func awaitPayload(t testing.TB, c *pgx.Conn, payloads ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			t.Fatalf("no notification %q: %v", payloads, err)
		}
		if slices.Contains(payloads, n.Payload) {
			return
		}
	}
}

// mailPayload is the payload of a NoticeMail of s.
func mailPayload(s *Store) string { return strconv.FormatInt(s.node.id.Load(), 10) }

// endedNode adds the row of an incarnation that ended some time ago.
func endedNode(t testing.TB, s *Store, id int64, name, state string, ago time.Duration) {
	t.Helper()
	_, err := s.db.pool.Exec(t.Context(), `insert into bridgehead.node (id, name, state, beat_at, started)
		values ($1, $2, $3, clock_timestamp() - $4 * interval '1 second', clock_timestamp() - $4 * interval '1 second' - interval '1 hour')`,
		id, name, state, ago.Seconds())
	if err != nil {
		t.Fatal(err)
	}
}

// silent makes the node of s miss its beats, as a process that is stopped does, until it
// is called.
func silent(t testing.TB, s *Store) (wake func()) {
	s.node.mu.Lock()
	woken := false
	wake = func() {
		if !woken {
			woken = true
			s.node.mu.Unlock()
		}
	}
	t.Cleanup(wake)
	return wake
}

// The nodes that take messages over tell the others that there is mail.
func TestTakeoverTellsOthers(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := open(t, url, steady("a")), open(t, url, steady("b"))
	endedNode(t, a, 77, "c", "dead", 0)
	c := listener(t, a)
	eventually(t, "they see each other", func() bool { return a.node.members.Load() == 2 && b.node.members.Load() == 2 })
	insert(t, a, "one", 77, nil)
	awaitPayload(t, c, mailPayload(a), mailPayload(b)) // one of them frees it
}

// A node that is closed frees its messages, and tells the others.
func TestCloseTellsOthers(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := open(t, url, steady("a")), open(t, url, steady("b"))
	eventually(t, "b sees a", func() bool { return b.node.members.Load() == 2 })
	c, payload := listener(t, a), mailPayload(b)
	insert(t, a, "one", b.node.id.Load(), nil)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	awaitPayload(t, c, payload, mailPayload(a)) // b frees it, unless a has seen in time that b has ended
	if !one[bool](t, a, `select node is null from bridgehead.message where id = 'one'`) {
		t.Error("the message is still leased")
	}
}

// Messages of an incarnation that has no row are free, because no node has them.
func TestUnknownIncarnations(t *testing.T) {
	t.Parallel()
	a := open(t, pgtest.Database(t), steady("a"))
	for i, id := range []any{5, 5, 1<<62 + 1, a.node.id.Load()} {
		insert(t, a, fmt.Sprintf("leased%d", i), id, nil)
	}
	insert(t, a, "waits", nil, int64(1)<<62)
	if _, err := a.db.pool.Exec(t.Context(), `update bridgehead.message set volatile = 6 where id = 'waits'`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are free", func() bool {
		return one[bool](t, a, `select bool_and(node is null and volatile is null)
			and count(*) filter (where lease = 8) = 3 and count(*) filter (where due is null) = 4
			from bridgehead.message where id <> 'leased3'`)
	})
	if !one[bool](t, a, `select node is not null from bridgehead.message where id = 'leased3'`) {
		t.Error("a message of the node that lives was freed")
	}
}

// Rows of nodes that have ended do not stay for ever.
func TestEndedNodesAreRemoved(t *testing.T) {
	t.Parallel()
	o := steady("a")
	o.Beat, o.DeadAfter = time.Minute, 3*time.Minute // a cleans when the test says so
	a := open(t, pgtest.Database(t), o)
	const day = 24 * time.Hour
	for id, n := range map[int64]struct {
		name, state string
		ago         time.Duration
	}{
		1: {"a", "stopped", 11 * time.Minute}, // gone: a is alive
		2: {"a", "stopped", 9 * time.Minute},
		3: {"b", "dead", 23 * time.Hour},
		4: {"c", "dead", 25 * time.Hour}, // gone
		5: {"drained", "stopped", 29 * day},
		6: {"forgotten", "stopped", 31 * day}, // gone
		7: {"holds", "dead", 40 * day},
		8: {"alive", "alive", 40 * day},
	} {
		endedNode(t, a, id, n.name, n.state, n.ago)
	}
	for _, name := range []string{"drained", "forgotten"} {
		if err := a.Drain(t.Context(), queue.Draining{Node: name, By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	insert(t, a, "one", 7, nil)
	a.node.clean(t.Context())
	if got := one[string](t, a, `select string_agg(id::text, ' ' order by id) from bridgehead.node where id < 10`); got != "2 3 5 7 8" {
		t.Errorf("the rows %s are left", got)
	}
	if got := one[string](t, a, `select string_agg(name, ' ') from bridgehead.drain`); got != "drained" {
		t.Errorf("the drains of %s are left", got)
	}

	// Their number has a limit.
	if _, err := a.db.pool.Exec(t.Context(), `insert into bridgehead.node (id, name, state)
		select 1000 + n, 'pod' || n, 'dead' from generate_series(1, 1500) n`); err != nil {
		t.Fatal(err)
	}
	a.node.clean(t.Context())
	// 2 and 3 are older than the newest 1000. Those that are needed are left.
	if got := one[int](t, a, `select count(*) from bridgehead.node where id > 1000 and id < 10000`); got != 1000 {
		t.Errorf("%d rows of ended nodes are left", got)
	}
	if got := one[string](t, a, `select string_agg(id::text, ' ' order by id) from bridgehead.node where id < 10`); got != "5 7 8" {
		t.Errorf("the rows %s are left", got)
	}
}

// Several nodes take many messages over together. They do not wait for each other or
// for a transaction that is open, and each message is freed once. The nodes beat
// meanwhile.
func TestTakeoverOfMany(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var log logbook
	var stores []*Store
	for _, name := range []string{"a", "b"} {
		o := steady(name)
		o.Logger = log.logger()
		stores = append(stores, open(t, url, o))
	}
	a := stores[0]
	endedNode(t, a, 77, "c", "alive", 0)
	const messages = 5000
	if _, err := a.db.pool.Exec(t.Context(), `insert into bridgehead.message
		(id, hop, prio, ready, due, wait, node, lease, size, received, attempted, slot, content, sender, rcpts, envelope, state)
		select 'm' || n, 0, 0, 0, null, 0, 77, 7, 0, 0, false, 0, 0, 0, '{}', '', '' from generate_series(1, $1::int) n`, messages); err != nil {
		t.Fatal(err)
	}
	// A statement of the dead node is still in progress.
	open, err := a.db.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(open)
	if _, err := open.Exec(t.Context(), `begin; select from bridgehead.message where id = 'm17' for update`); err != nil {
		t.Fatal(err)
	}
	const beats = `select min(beat) from bridgehead.node where state = 'alive'`
	before := one[int](t, a, `select min(beat) from bridgehead.node where id <> 77`)
	if _, err := a.db.pool.Exec(t.Context(), `update bridgehead.node set state = 'dead' where id = 77`); err != nil {
		t.Fatal(err)
	}
	const left = `select count(*) from bridgehead.message where node is not null`
	eventually(t, "takeover", func() bool { return one[int](t, a, left) == 1 })
	eventually(t, "beats", func() bool { return one[int](t, a, beats) > before+2 })
	if one[int](t, a, left) != 1 {
		t.Error("the message of the open transaction was freed")
	}
	if _, err := open.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last message", func() bool { return one[int](t, a, left) == 0 })
	if n := one[int](t, a, `select count(*) from bridgehead.message where lease = 8`); n != messages {
		t.Errorf("%d of %d messages were freed once", n, messages)
	}
	for _, bad := range []string{"deadlock", "level=ERROR", "declared"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("the log has %q: %s", bad, log.String())
		}
	}
}

// A node that dies while the many messages of another are freed is found before that
// ends.
func TestTakeoverOfTwo(t *testing.T) {
	t.Parallel()
	o := steady("a")
	o.Beat, o.DeadAfter = time.Minute, 3*time.Minute // only the test takes over
	a := open(t, pgtest.Database(t), o)
	endedNode(t, a, 5, "b", "dead", 0)
	endedNode(t, a, 6, "c", "alive", 0)
	insert(t, a, "of b", 5, nil)
	insert(t, a, "of c", 6, nil)
	n := &node{store: a, dead: make(chan []pulse, 1), outgoing: newNotices(), incoming: newNotices()}
	n.dead <- []pulse{{6, "c", 0}}
	n.takeOver(t.Context(), sqlEnded)
	if n := one[int](t, a, `select count(*) from bridgehead.message where node is null`); n != 2 {
		t.Errorf("%d of 2 messages are free", n)
	}
}
