package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// fill inserts n messages that wait for a hop, without content. The first is ready at
// ready, and each is ready a millisecond after the one before.
func fill(t testing.TB, s *Store, n int, hop queue.NextHop, prefix string, ready time.Time) {
	t.Helper()
	id, err := s.hops.id(t.Context(), hop)
	if err != nil {
		t.Fatal(err)
	}
	const sql = `insert into bridgehead.message (id, hop, prio, ready, due, wait, lease, size, received, attempted, slot, content, sender, rcpts, envelope, state)
		select x.id, $1, 0, $2::bigint + x.n * 1000000, null, 0, 1, 0, 0, false, 0, 0, 0, '{}', x.envelope, x.state
		from unnest($3::text[], $4::bytea[], $5::bytea[]) with ordinality x (id, envelope, state, n)`
	for n > 0 {
		var ids []string
		var envelopes, states [][]byte
		for ; n > 0 && len(ids) < 5000; n-- {
			m := &queue.Message{ID: fmt.Sprintf("%s%07d", prefix, n), From: "from@example.org", Recipients: queue.Rcpt("to@example.net")}
			envelope, err := encodeEnvelope(m)
			if err != nil {
				t.Fatal(err)
			}
			state, err := encodeState(m, queue.Schedule{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			ids, envelopes, states = append(ids, m.ID), append(envelopes, envelope), append(states, state)
		}
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql, id, nanos(ready), ids, envelopes, states) }); err != nil {
			t.Fatal(err)
		}
		ready = ready.Add(time.Duration(len(ids)) * time.Millisecond)
	}
	s.lanes.forget()
}

func nowClaim(owner string, max int) queue.Claim {
	now := time.Now()
	return queue.Claim{Owner: owner, Now: now, Wall: now, Until: now.Add(time.Hour), Max: max}
}

var (
	hopA = queue.NextHop{Connector: "c", Destination: "a.example"}
	hopB = queue.NextHop{Connector: "c", Destination: "b.example"}
)

// Claim returns the messages of each hop in their order, without those of excluded hops.
func TestClaimOfHops(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	long := time.Now().Add(-time.Hour)
	fill(t, s, 250, hopA, "a", long)
	fill(t, s, 250, hopB, "b", long.Add(time.Minute))
	take := func(want string, c queue.Claim) {
		t.Helper()
		ms, err := s.Claim(t.Context(), c)
		if err != nil || len(ms) != 100 || ms[0].ID != want {
			t.Fatalf("%d messages, %v; want 100, the first %s", len(ms), err, want)
		}
	}
	take("a0000250", nowClaim("o", 100))
	take("a0000150", nowClaim("o", 100))
	c := nowClaim("o", 100)
	c.Except = map[queue.NextHop]bool{hopA: true}
	take("b0000250", c)
	c = nowClaim("o", 100)
	c.Only = &hopB
	take("b0000150", c)
	take("a0000050", nowClaim("o", 100))
}

// The order is right although another node has claimed the first message of a hop.
func TestClaimOrderOfTwoNodes(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, other := open(t, url, nil), open(t, url, nil)
	long := time.Now().Add(-time.Hour)
	fill(t, s, 1, hopA, "first", long)
	fill(t, s, 1, hopB, "second", long.Add(time.Minute))
	fill(t, s, 1, hopA, "third", long.Add(2*time.Minute))
	if _, err := s.Next(t.Context(), nowClaim("o", 1)); err != nil { // now s knows where the hops begin
		t.Fatal(err)
	}
	for _, want := range []struct {
		s  *Store
		id string
	}{{other, "first0000001"}, {s, "second0000001"}, {s, "third0000001"}} {
		if ms := claimed(t, want.s, nowClaim("o", 1)); len(ms) != 1 || ms[0] != want.id {
			t.Fatalf("claimed %v, want %s", ms, want.id)
		}
	}
}
