package postgres

import (
	"encoding/json"
	"fmt"
	"os"
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

// searchBuffers returns how many buffers it takes to find and lock the messages of a
// claim. What the change of each message takes does not depend on the others.
func searchBuffers(t testing.TB, s *Store, c queue.Claim) (buffers, found int) {
	t.Helper()
	sel, _, err := s.selection(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	p := laneParams(s.lanes.choose(sel, nanos(time.Now()), c.Max, false))
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
	err = tx.QueryRow(t.Context(), "explain (analyze, buffers, format json) "+claimLanesSQL,
		inlineContent, 1, c.Max, p.hops, p.prios, p.readys, p.ids, nil, 1).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SHOWPLAN") != "" {
		var out string
		rows, _ := tx.Query(t.Context(), "explain (analyze, buffers) "+claimLanesSQL,
			inlineContent, 1, c.Max, p.hops, p.prios, p.readys, p.ids, nil, 1)
		for rows.Next() {
			var l string
			rows.Scan(&l)
			out += l + "\n"
		}
		fmt.Println(out)
	}
	n, ok := plans[0].Plan.buffers("CTE taken")
	if !ok {
		t.Fatalf("no part taken in the plan: %s", text)
	}
	return n, len(p.hops)
}

// oldSnapshot begins a transaction that sees the database as it is now, as a backup
// does. Vacuum cannot remove rows that it can see.
func oldSnapshot(t testing.TB, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	for _, sql := range []string{"begin isolation level repeatable read", "select count(*) from bridgehead.node"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClaimBehindDeadRows(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, nil)
	s.clock.start(time.Now(), time.Now())
	dead := large(200_000, 20_000)
	fill(t, s, dead+1000, hopA, "a", time.Now().Add(-time.Hour))
	oldSnapshot(t, url)
	n, err := s.Claim(t.Context(), nowClaim("o", dead))
	if err != nil || len(n) != dead {
		t.Fatalf("claimed %d, %v", len(n), err)
	}
	got, lanes := searchBuffers(t, s, nowClaim("o", 100))
	t.Logf("%d buffers, %d lanes", got, lanes)
}
