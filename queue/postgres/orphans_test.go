package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// isLeased reports whether the database has leased a message to a node.
func isLeased(t testing.TB, s *Store, id string) bool {
	t.Helper()
	return one[bool](t, s, "select node is not null from bridgehead.message where id = $1", id)
}

// claimed returns the IDs of the messages that a claim returns, in order.
func claimed(t testing.TB, s *Store, c queue.Claim) (ids []string) {
	t.Helper()
	ms, err := s.Claim(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// The answer to a claim is lost. The server has leased the messages, and no part of the
// node knows it. They can soon be claimed again, while the node runs.
func TestLostClaim(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(server.Database(t)), nil)
	fill(t, s, 3, hopA, "a", time.Now().Add(-time.Hour))
	if err := s.Put(t.Context(), newMessage("known"), leasedTo("o")); err != nil {
		t.Fatal(err)
	}

	fault := proxy.CutAnswer("with lane as materialized")
	if ms, err := s.Claim(t.Context(), nowClaim("o", 10)); !errors.Is(err, queue.ErrUnavailable) || len(ms) > 0 {
		t.Fatalf("Claim returned %d messages, %v", len(ms), err)
	}
	<-fault.Happened()
	var got []string
	eventually(t, "the messages are claimed again", func() bool {
		got = append(got, claimed(t, s, nowClaim("o", 10))...)
		return len(got) == 3
	})
	if err := s.MayFinish("o", "known"); err != nil || !isLeased(t, s, "known") {
		t.Errorf("the lease on another message is lost: %v", err)
	}
}

// What is leased by a call in progress is not an orphan.
func TestNoOrphans(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	node, err := s.node.incarnation()
	if err != nil {
		t.Fatal(err)
	}
	row := func(id string, lease int64) {
		insert(t, s, id, node, nil)
		s.db.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue("update bridgehead.message set lease = $2 where id = $1", id, lease)
		})
	}
	sweep := func() {
		t.Helper()
		if err := s.freeOrphans(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(id, what string) {
		t.Helper()
		if !isLeased(t, s, id) {
			t.Errorf("the message of %s was freed", what)
		}
	}

	// The server has committed the group of a Put, and the node does not know it yet.
	row("put", firstLease)
	s.puts.open.begin(&put{row: newRow{id: "put", leased: true}})
	sweep()
	check("put", "a Put")

	// A Put that this node has made, and whose end the database has lost in a failover.
	row("removed", firstLease)
	sweep()
	if isLeased(t, s, "removed") {
		t.Error("the message of a removal that is lost was not freed")
	}

	// The server has committed a claim, and the node has not read the answer yet.
	row("claim", 2)
	end := s.leasing.begin()
	calls := s.leasing.calls
	var swept sync.WaitGroup
	swept.Go(sweep)
	eventually(t, "freeOrphans waits for the claim", func() bool {
		s.leasing.mu.Lock()
		defer s.leasing.mu.Unlock()
		return s.leasing.calls != calls
	})
	if err := s.leases.add(node, "claim", 2, 0, leasedTo("o")); err != nil {
		t.Error(err)
	}
	end()
	swept.Wait()
	check("claim", "a claim")

	// A removal has its place in a group, and is not recorded yet.
	unlock := lockMessages(t, s)
	if err := s.Remove(t.Context(), "o", "claim"); err != nil {
		t.Fatal(err)
	}
	sweep()
	check("claim", "a Remove")
	unlock()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, s); !slices.Equal(got, []string{"put", "removed"}) {
		t.Errorf("stored are %v", got)
	}

	// A row that nothing explains.
	row("orphan", 2)
	sweep()
	if isLeased(t, s, "orphan") {
		t.Error("the orphan was not freed")
	}
}

// An owner whose lease has ended leases the message again, and the answer is lost. Its
// result is recorded all the same, because no other owner has the message.
func TestLostRenewal(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(server.Database(t)), nil)
	for _, id := range []string{"renewed", "removed"} {
		if err := s.Put(t.Context(), newMessage(id), queue.Schedule{Owner: "o", Until: time.Now().Add(-time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.endLeases(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}

	fault := proxy.CutAnswer("set node = ")
	if lost, err := s.Renew(t.Context(), "o", time.Now().Add(time.Hour), "renewed"); err != nil || len(lost) > 0 {
		t.Errorf("Renew: lost %v, %v", lost, err)
	}
	<-fault.Happened()
	fault = proxy.CutAnswer("set node = ")
	for _, id := range []string{"removed", "renewed"} {
		if err := s.Remove(t.Context(), "o", id); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	<-fault.Happened()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, s); len(got) > 0 {
		t.Errorf("stored are %v", got)
	}
}

// An owner claims a message by its ID that it has leased already, and the answer is lost.
// The lease stays valid.
func TestLostClaimOfOwnMessage(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(server.Database(t)), nil)
	if err := s.Put(t.Context(), newMessage("m"), leasedTo("o")); err != nil {
		t.Fatal(err)
	}
	c := nowClaim("o", 1)
	c.ID = "m"
	fault := proxy.CutAnswer("with claimed as")
	if _, err := s.Claim(t.Context(), c); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Claim: %v", err)
	}
	<-fault.Happened()
	if err := s.freeOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "o", "m"); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, s); len(got) > 0 {
		t.Errorf("stored are %v", got)
	}
}

// The answer to a claim comes when a new incarnation has begun. Its messages are lost, and
// those of the new incarnation are not.
func TestLeasesOfLastIncarnation(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	last, err := s.node.incarnation()
	if err != nil {
		t.Fatal(err)
	}
	s.node.mu.Lock()
	s.node.lost("test")
	s.node.mu.Unlock()
	eventually(t, "a new incarnation", func() bool {
		_, err := s.node.incarnation()
		return err == nil
	})
	if err := s.Put(t.Context(), newMessage("new"), leasedTo("o")); err != nil {
		t.Fatal(err)
	}
	c := nowClaim("o", 1)
	err = s.addLeases(t.Context(), &c, last, []*row{{m: newMessage("old"), number: 2, position: position{id: "old"}}})
	if !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("the leases of the last incarnation: %v", err)
	}
	if err := s.MayFinish("o", "old"); !isLost(err) {
		t.Errorf("the message of the last incarnation: %v", err)
	}
	if err := s.MayFinish("o", "new"); err != nil {
		t.Errorf("the message of the new incarnation: %v", err)
	}
}

// A claim waits for the messages that this node has just released, but not for other
// results that are not recorded yet.
func TestClaimWaitsOnlyForReleases(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := newMessage("removed")
	later := newMessage("later")
	for _, m := range []*queue.Message{m, later} {
		if err := s.Put(ctx, m, leasedTo("o")); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := s.db.connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "begin; select from bridgehead.message for update"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, "o", "removed"); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, "o", later, queue.Schedule{Due: time.Now().Add(time.Hour), Wait: time.Hour}); err != nil {
		t.Fatal(err)
	}
	// Neither can be recorded now.
	fill(t, s, 2, hopA, "a", time.Now().Add(-time.Hour))
	if ms, err := s.Claim(ctx, nowClaim("o", 1)); err != nil || len(ms) != 1 {
		t.Fatalf("Claim: %d messages, %v", len(ms), err)
	}
	if _, err := conn.Exec(ctx, "commit"); err != nil {
		t.Fatal(err)
	}
	if next, err := s.Next(ctx, queue.Claim{Now: time.Now(), Wall: time.Now(), Except: map[queue.NextHop]bool{hopA: true}}); err != nil ||
		next.Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("Next: %v, %v", next, err)
	}
}

// A schedule that ends with the process is written as such only if the message would wait
// longer otherwise. So a takeover need not write all mail for a dead next hop.
func TestVolatileRows(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	now := time.Now()
	for _, c := range []struct {
		name string
		s    queue.Schedule
		want bool
	}{
		{"no-due", queue.Schedule{Volatile: true}, false},
		{"past", queue.Schedule{Volatile: true, Due: now.Add(-time.Second)}, false},
		{"past-wait", queue.Schedule{Volatile: true, Due: now.Add(-time.Second), Wait: 1}, false},
		{"future", queue.Schedule{Volatile: true, Due: now.Add(time.Hour)}, true},
		{"future-wait", queue.Schedule{Volatile: true, Due: now.Add(time.Hour), Wait: time.Hour}, true},
		{"not-volatile", queue.Schedule{Due: now.Add(time.Hour), Wait: time.Hour}, false},
	} {
		put, updated := newMessage("put-"+c.name), newMessage("updated-"+c.name)
		if err := s.Put(t.Context(), put, c.s); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), updated, leasedTo("o")); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(t.Context(), "o", updated, c.s); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{put.ID, updated.ID} {
			if got := one[bool](t, s, "select volatile is not null from bridgehead.message where id = $1", id); got != c.want {
				t.Errorf("%s: column volatile is set: %v, want %v", id, got, c.want)
			}
		}
	}
}
