package postgres

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// twoNodes opens two nodes that know each other, on one database.
func twoNodes(t *testing.T) (a, b *Store) {
	t.Helper()
	url := pgtest.Database(t)
	a, b = open(t, url, &Options{Node: "a"}), open(t, url, &Options{Node: "b"})
	eventually(t, "the nodes know each other", func() bool {
		return a.node.members.Load() == 2 && b.node.members.Load() == 2
	})
	return a, b
}

// A claim takes a share of the messages that wait, so that the other node gets some. A few
// messages are not divided.
func TestClaimTakesShare(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	fill(t, a, 60, hopA, "a", time.Now().Add(-time.Hour))
	fill(t, a, 40, hopB, "b", time.Now().Add(-time.Hour))
	all := nowClaim("o", 1000)
	first, second := claimed(t, a, all), claimed(t, b, all)
	if len(first) != 50 || len(second) != 25 {
		t.Errorf("the nodes claimed %d and %d of 100 messages, want 50 and 25", len(first), len(second))
	}
	got := append(first, second...)
	for len(got) < 100 {
		more := claimed(t, a, all)
		if len(more) == 0 {
			break
		}
		got = append(got, more...)
	}
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != 100 {
		t.Errorf("%d of 100 messages were claimed", n)
	}

	fill(t, a, leastShare, hopA, "few", time.Now().Add(-time.Hour))
	if got := claimed(t, a, all); len(got) != leastShare {
		t.Errorf("claimed %d of %d messages", len(got), leastShare)
	}
	fill(t, a, 20, hopA, "only", time.Now().Add(-time.Hour))
	all.Only = &hopA
	if got := claimed(t, a, all); len(got) != 20 {
		t.Errorf("a claim of a hop returns %d of 20 messages", len(got))
	}
}

// Nodes that claim at the same time get different messages, and together all.
func TestClaimsAtTheSameTime(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	const n = 1000
	fill(t, a, n/2, hopA, "a", time.Now().Add(-time.Hour))
	fill(t, a, n/2, hopB, "b", time.Now().Add(-time.Hour))
	var wg sync.WaitGroup
	var mu sync.Mutex
	holder := make(map[string]*Store)
	for _, s := range []*Store{a, b, a, b} {
		wg.Go(func() {
			for {
				ms, err := s.Claim(t.Context(), nowClaim("o", 64))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, m := range ms {
					if holder[m.ID] != nil {
						t.Errorf("%s was claimed twice", m.ID)
					}
					holder[m.ID] = s
				}
				done := err != nil || len(holder) == n
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	wg.Wait()
	for id, s := range holder {
		if err := s.MayFinish("o", id); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
}

// A claim does not wait for one that another node has not committed.
func TestClaimSkipsLockedRows(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	fill(t, s, 20, hopA, "a", time.Now().Add(-time.Hour))
	other, err := s.db.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	if _, err := other.Exec(t.Context(), "begin; select from bridgehead.message order by ready limit 10 for update"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lockTimeout/2)
	defer cancel()
	ms, err := s.Claim(ctx, nowClaim("o", 5))
	if err != nil || len(ms) != 5 || ms[0].ID != "a0000010" {
		t.Fatalf("%d messages, %v", len(ms), err)
	}
	// The transaction of the other node fails. Its messages are found again.
	if _, err := other.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	got := claimed(t, s, nowClaim("o", 20))
	eventually(t, "all messages are claimed", func() bool {
		got = append(got, claimed(t, s, nowClaim("o", 20))...)
		return len(got) == 15
	})
}
