package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// listed returns the IDs that List returns.
func listed(t testing.TB, s *Store, q queue.Query) (ids []string) {
	t.Helper()
	for e, err := range s.List(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

// To list the messages for a hop does not read those for others, and the totals of the
// hops come from an index.
func TestListAndHopsUseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	hopC := queue.NextHop{Connector: "c", Destination: "c.example"}
	const others = 20_000
	fillDummies(t, s, others, 700, hopA)
	fill(t, s, 3, hopB, "b", time.Now().Add(-time.Hour))
	fill(t, s, 2, hopC, "c", time.Now().Add(-time.Hour))
	c := nowClaim("o", 1)
	c.Only = &hopB
	leased := claimed(t, s, c)
	if _, err := s.db.pool.Exec(t.Context(), "vacuum analyze bridgehead.message"); err != nil {
		t.Fatal(err)
	}

	want := []string{"b0000001", "b0000002", "b0000003", "c0000001", "c0000002"}
	rare := queue.Query{Hop: &hopC, Also: []queue.NextHop{hopB, hopC}}
	if got := listed(t, s, rare); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	rare.After = "b0000002"
	if got := listed(t, s, rare); !slices.Equal(got, want[2:]) {
		t.Errorf("after the second, listed %v, want %v", got, want[2:])
	}
	ids, _, err := s.queriedHops(t.Context(), rare)
	if err != nil {
		t.Fatal(err)
	}
	p := explain(t, s, listHopsSQL, "", listPage, ids)
	if n := p.Hit + p.Read; n > 50 {
		t.Errorf("to list %d messages takes %d buffers", len(want), n)
	}

	sums, err := s.Hops(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[queue.NextHop]int)
	for _, h := range sums {
		got[h.Hop] = h.Count
	}
	if len(got) != 3 || got[hopA] != others || got[hopB] != 3 || got[hopC] != 2 || len(leased) != 1 {
		t.Errorf("Hops: %v", got)
	}
	if p := explain(t, s, hopsSQL); p.uses("Seq Scan") || !p.uses("Index Only Scan") {
		t.Errorf("Hops reads the table: %+v", p)
	}
}
