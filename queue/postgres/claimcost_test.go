package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// large is the number of messages of a test of costs.
func large(full, short int) int {
	if os.Getenv("BRIDGEHEAD_MILLION") != "" {
		return full
	}
	return short
}

// A plan is a node of the output of EXPLAIN.
type plan struct {
	Type    string `json:"Node Type"`
	Subplan string `json:"Subplan Name"`
	Hit     int    `json:"Shared Hit Blocks"`
	Read    int    `json:"Shared Read Blocks"`
	Plans   []plan
}

// buffers returns the buffers that the part of a plan with this name used.
func (p *plan) buffers(subplan string) (n int, ok bool) {
	if p.Subplan == subplan {
		return p.Hit + p.Read, true
	}
	for i := range p.Plans {
		if n, ok := p.Plans[i].buffers(subplan); ok {
			return n, true
		}
	}
	return 0, false
}

// uses reports whether a plan has a node of this type.
func (p *plan) uses(nodeType string) bool {
	return p.Type == nodeType || slices.ContainsFunc(p.Plans, func(p plan) bool { return p.uses(nodeType) })
}

// explain runs a statement, rolls it back, and returns its plan.
func explain(t testing.TB, s *Store, sql string, args ...any) plan {
	t.Helper()
	conn, err := s.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	var text []byte
	if err := tx.QueryRow(t.Context(), "explain (analyze, buffers, format json) "+sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// searchBuffers returns how many buffers it takes to find and lock the messages of a
// claim. What the change of each message takes does not depend on the others.
func searchBuffers(t testing.TB, s *Store, c queue.Claim) int {
	t.Helper()
	chosen, _, err := s.chooseLanes(t.Context(), &c, c.Max)
	if err != nil {
		t.Fatal(err)
	}
	return laneBuffers(t, s, chosen, c.Max)
}

// laneBuffers is the same for lanes.
func laneBuffers(t testing.TB, s *Store, lanes []laneBegin, max int) int {
	t.Helper()
	l := laneParams(lanes)
	p := explain(t, s, claimLanesSQL, inlineContent, 1, max, l.hops, l.prios, l.readys, l.ids, nil, 1, 1, leastShare, nanos(time.Now()), l.untils)
	n, ok := p.buffers("CTE taken")
	if !ok {
		t.Fatalf("no part taken in the plan: %+v", p)
	}
	return n
}

// fillDummies inserts n messages that wait for a hop, with a column state of some bytes.
// They cannot be read. They are ready before all others.
func fillDummies(t testing.TB, s *Store, n, bytes int, hop queue.NextHop) {
	t.Helper()
	id, err := s.hops.id(t.Context(), hop)
	if err != nil {
		t.Fatal(err)
	}
	const sql = `insert into bridgehead.message (id, hop, prio, ready, wait, lease, size, received, attempted, slot, content, sender, rcpts, envelope, state)
		select 'dummy' || n, $1, 0, n, 0, 1, 4096, 1, false, 0, n, n, array[n], convert_to(repeat('x', 65), 'UTF8'), convert_to(repeat('y', $4), 'UTF8')
		from generate_series($2::bigint, $3::bigint) n`
	const group = 50_000
	for first := 1; first <= n; first += group {
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql, id, first, min(first+group-1, n), bytes) }); err != nil {
			t.Fatal(err)
		}
	}
}

// oldSnapshot begins a transaction that sees the database as it is now, as a backup
// does. Vacuum cannot remove rows that it can see.
func oldSnapshot(t testing.TB, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	for _, sql := range []string{"begin isolation level repeatable read", "select count(*) from bridgehead.node"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// maxClaimBuffers limits the buffers that it takes to find and lock 100 messages (issue
// 17): one for each row, and a few for the index.
const maxClaimBuffers = 150

// Nearly all index entries of a hop are those of messages that were claimed, and vacuum
// cannot remove them. A claim does not read them.
func TestClaimBehindDeadRows(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, nil)
	dead := large(200_000, 20_000)
	fillDummies(t, s, dead, 46, hopA) // like those of fill
	fill(t, s, 300, hopA, "a", time.Now().Add(-time.Hour))
	oldSnapshot(t, url)
	if _, err := s.db.pool.Exec(t.Context(), "update bridgehead.message set node = 1 where id like 'dummy%'"); err != nil {
		t.Fatal(err)
	}
	if got := claimed(t, s, nowClaim("o", 100)); len(got) != 100 {
		t.Fatalf("claimed %d messages", len(got))
	}
	n := searchBuffers(t, s, nowClaim("o", 100))
	t.Logf("%d buffers for 100 messages behind %d dead rows", n, dead)
	if n > maxClaimBuffers {
		t.Errorf("a claim of 100 messages takes %d buffers, want at most %d", n, maxClaimBuffers)
	}
	id, _, _ := s.hops.find(t.Context(), hopA)
	if n := laneBuffers(t, s, []laneBegin{{lane: lane{hop: id}, until: math.MaxInt64}}, 100); n < dead/100 {
		t.Errorf("from the beginning on, a claim takes only %d buffers: the rows are not dead", n)
	}
	if got := claimed(t, s, nowClaim("o", 100)); len(got) != 100 {
		t.Errorf("claimed %d messages", len(got))
	}
}

// The messages for a dead next hop, which a claim excludes, cost it nothing, and those of
// other hops are found.
func TestClaimBesideDeadHop(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	waiting := large(1_000_000, 20_000)
	fill(t, s, 2000, hopB, "b", time.Now().Add(-time.Hour))
	if waiting == 1_000_000 {
		t.Logf("without the dead hop, %s", claimTimes(t, s))
	}
	fillDummies(t, s, waiting, 46, hopA)
	c := nowClaim("o", 100)
	c.Except = map[queue.NextHop]bool{hopA: true}
	if got := claimed(t, s, c); len(got) != 100 {
		t.Fatalf("claimed %d messages", len(got))
	}
	n := searchBuffers(t, s, c)
	p := explain(t, s, selectLanes, maxLanes, beforeLanes.hop, beforeLanes.prio)
	scan := p.Hit + p.Read
	t.Logf("beside %d messages, a claim of 100 takes %d buffers, and a scan %d", waiting, n, scan)
	if n > maxClaimBuffers || scan > maxClaimBuffers {
		t.Errorf("a claim takes %d buffers, and a scan %d, want at most %d", n, scan, maxClaimBuffers)
	}
	if waiting == 1_000_000 {
		t.Logf("beside the dead hop, %s", claimTimes(t, s))
	}
}

// claimTimes measures claims of 10 messages, and commits that write nothing else.
func claimTimes(t testing.TB, s *Store) string {
	t.Helper()
	var claims, commits []time.Duration
	for range 80 {
		c := nowClaim("o", 10)
		c.Except = map[queue.NextHop]bool{hopA: true}
		began := time.Now()
		if ms, err := s.Claim(t.Context(), c); err != nil || len(ms) != 10 {
			t.Fatalf("%d messages, %v", len(ms), err)
		}
		claims = append(claims, time.Since(began))
		began = time.Now()
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		commits = append(commits, time.Since(began))
	}
	slices.Sort(claims)
	slices.Sort(commits)
	return fmt.Sprintf("claims of 10 messages take: least %v, median %v, 95 %% %v; commits: least %v, median %v, 95 %% %v",
		claims[0], claims[40], claims[76], commits[0], commits[40], commits[76])
}
