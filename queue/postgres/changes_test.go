package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// putLeased puts messages that owner a has leased.
func putLeased(t testing.TB, s *Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Put(t.Context(), newMessage(id), leasedTo("a")); err != nil {
			t.Fatal(err)
		}
	}
}

// numbered returns n IDs.
func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("m%04d", i)
	}
	return ids
}

// attemptsOf returns how many attempts the database has recorded of a message.
func attemptsOf(t testing.TB, s *Store, id string) int {
	t.Helper()
	m, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return m.Recipients[0].Attempts
}

// A change is recorded when its group has collected for collectTime, at once if the group
// is full or a call waits for it, and at once when the Store closes.
func TestChangesAreRecordedInTime(t *testing.T) {
	if collectTime > 50*time.Millisecond {
		t.Error("little of the 100 ms that queue.Store permits is left for the commit")
	}
	for name, test := range map[string]struct {
		then func(c *changes)
		n    int
		want time.Duration
	}{
		"one change":     {n: 1, want: collectTime},
		"many changes":   {n: groupChanges - 1, want: collectTime},
		"a full group":   {n: groupChanges, want: 0},
		"a call waits":   {n: 1, then: func(c *changes) { c.collecting.hurry = true }},
		"the Store ends": {n: 1, then: func(c *changes) { c.closed = true }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &changes{progress: make(chan struct{}), wake: make(chan struct{}, 1)}
				c.mu.Lock()
				for _, id := range numbered(test.n) {
					c.insert(&change{id: id})
				}
				if test.then != nil {
					test.then(c)
				}
				c.mu.Unlock()
				begin := time.Now()
				if g := c.take(t.Context()); len(g.list) != test.n || time.Since(begin) != test.want {
					t.Errorf("%d changes after %v, want %d after %v", len(g.list), time.Since(begin), test.n, test.want)
				}
			})
		})
	}
}

// The changes of many messages share transactions.
func TestChangesInGroups(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	ids := numbered(300)
	putLeased(t, s, ids...)
	before := s.groups.count()
	for _, id := range ids {
		if err := s.Remove(t.Context(), "a", id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.groups.count() - before; n > int64(len(ids)/2) {
		t.Errorf("%d changes in %d groups", len(ids), n)
	}
	if got := stored(t, s); len(got) > 0 {
		t.Errorf("%d messages are left", len(got))
	}
}

// triggerOnUpdate makes the database run PL/pgSQL statements for each row of a message that
// is changed.
func triggerOnUpdate(t testing.TB, s *Store, statements string) {
	t.Helper()
	err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue("create function public.on_update() returns trigger language plpgsql as $$begin " + statements + " return new; end$$")
	})
	if err == nil {
		err = s.db.tx(t.Context(), func(b *pgx.Batch) {
			b.Queue("create trigger on_update before update on bridgehead.message for each row execute function public.on_update()")
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// count returns a number that each new group increases.
func (gs *groups) count() int64 {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return int64(gs.keys.next)
}

// The connection breaks at each byte of the request and of the answer. Update and Remove
// have returned nil, so each change is recorded, and recorded once.
func TestChangeWithEachCut(t *testing.T) {
	cut := newCutter(t, pgtest.Database(t))
	s := open(t, cut.url, nil)
	for _, answer := range []bool{false, true} {
		for _, remove := range []bool{false, true} {
			t.Run(fmt.Sprintf("answer %v, remove %v", answer, remove), func(t *testing.T) { changeWithEachCut(t, s, cut, answer, remove) })
		}
	}
}

func changeWithEachCut(t *testing.T, s *Store, cut *cutter, answer, remove bool) {
	step := 7 // of about 100 bytes
	if !answer {
		step = 61 // of about 1000 bytes
	}
	cuts := 0
	for n := 0; ; n += step {
		id := fmt.Sprintf("change-%v-%v-%d-", answer, remove, n)
		putLeased(t, s, id)
		cut.set(id, answer, n)
		var err error
		if remove {
			err = s.Remove(t.Context(), "a", id)
		} else {
			m := newMessage(id)
			m.Recipients[0].Attempts = 7
			err = s.Update(t.Context(), "a", m, queue.Schedule{})
		}
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		for err = s.settle(t.Context(), id); errors.Is(err, queue.ErrUnavailable); err = s.settle(t.Context(), id) {
			time.Sleep(time.Millisecond) // the group is repeated
		}
		happened := cut.happened()
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if exists := slices.Contains(stored(t, s), id); exists == remove {
			t.Fatalf("cut after %d bytes: the message is in the queue: %v", n, exists)
		}
		if !remove && attemptsOf(t, s, id) != 7 {
			t.Fatalf("cut after %d bytes: the change is not recorded", n)
		}
		if !happened {
			break
		}
		cuts++
	}
	if cuts == 0 {
		t.Error("nothing was cut")
	}
}

// The changes of a message are recorded in their order, also when answers are lost and
// groups are repeated.
func TestChangesStayInOrder(t *testing.T) {
	server := pgtest.Shared(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(server.Database(t)), nil)
	err := s.db.tx(t.Context(), func(b *pgx.Batch) {
		b.Queue("create table public.history (n bigint generated always as identity, due bigint)")
	})
	if err != nil {
		t.Fatal(err)
	}
	triggerOnUpdate(t, s, "insert into public.history (due) values (new.due);")
	putLeased(t, s, "m1")
	const n = 40
	for i := range n {
		if i%10 == 5 {
			proxy.CutAnswer("update bridgehead.message m\n\tset hop")
		}
		schedule := leasedTo("a")
		schedule.Due = time.Unix(int64(1000+i), 0)
		err := s.Update(t.Context(), "a", newMessage("m1"), schedule)
		for errors.Is(err, queue.ErrUnavailable) { // it is not recorded: repeat the call
			time.Sleep(time.Millisecond)
			err = s.Update(t.Context(), "a", newMessage("m1"), schedule)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 { // the next change is in another group
			for err := s.settle(t.Context()); err != nil; err = s.settle(t.Context()) {
				time.Sleep(time.Millisecond)
			}
		}
	}
	for err := s.settle(t.Context()); err != nil; err = s.settle(t.Context()) {
		time.Sleep(time.Millisecond)
	}
	got := one[[]int64](t, s, "select array(select due from public.history order by n)")
	if !slices.IsSorted(got) || len(got) < n/3 || got[len(got)-1] != time.Unix(1000+n-1, 0).UnixNano() {
		t.Errorf("recorded are %v", got)
	}
}

// While the database records nothing, a group fills, and then calls wait, and end with
// their context. What they have returned nil for is recorded later.
func TestChangesWaitForFullGroup(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	ids := numbered(2*groupChanges + 1)
	for group := range slices.Chunk(ids, 100) {
		ps := make([]*put, len(group))
		for i, id := range group {
			var err error
			if ps[i], err = s.newPut(t.Context(), newMessage(id), leasedTo("a")); err != nil {
				t.Fatal(err)
			}
		}
		s.commit(t.Context(), ps)
	}
	unlock := lockMessages(t, s)
	var waits string
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := s.Remove(ctx, "a", id)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			waits = id
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if waits == "" {
		t.Errorf("%d changes were accepted, although none can be recorded", len(ids))
	}
	if _, err := s.leases.holds("a", waits); err != nil {
		t.Errorf("the message whose change was not accepted: %v", err)
	}

	// The removal of a refused message waits too, so the memory has a bound.
	discarded := make(chan struct{})
	go func() { defer close(discarded); s.discard(s.ctx, 1, numbered(3)) }()
	select {
	case <-discarded:
		t.Error("discard does not wait for a full group")
	case <-time.After(20 * time.Millisecond):
	}
	unlock()
	<-discarded
	if err := s.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, s); len(got) == 0 || got[0] != waits {
		t.Errorf("%d messages are left, want those from %s", len(got), waits)
	}
	if err := s.Remove(t.Context(), "a", waits); err != nil {
		t.Error(err)
	}
}

// In an outage, calls return ErrUnavailable. Afterwards, exactly the changes for which a
// call returned nil are recorded.
func TestChangesInOutage(t *testing.T) {
	server := pgtest.Shared(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(server.Database(t)), nil)
	ids := numbered(100)
	putLeased(t, s, ids...)
	for _, id := range ids[:10] {
		if err := s.Remove(t.Context(), "a", id); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Down()
	accepted := 10
	for _, id := range ids[10:] {
		err := s.Remove(t.Context(), "a", id)
		if err == nil {
			accepted++
		} else if !errors.Is(err, queue.ErrUnavailable) {
			t.Fatal(err)
		}
		if err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if accepted == len(ids) {
		t.Fatal("no call has failed")
	}
	if err := s.Sync(t.Context()); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Sync: %v", err)
	}
	if err := s.Put(t.Context(), newMessage("new"), queue.Schedule{}); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Put: %v", err)
	}
	proxy.Up()
	for err := s.Sync(t.Context()); err != nil; err = s.Sync(t.Context()) {
		if !errors.Is(err, queue.ErrUnavailable) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if got := stored(t, s); !slices.Equal(got, ids[accepted:]) {
		t.Errorf("stored are %v, want those from %d", got, accepted)
	}
	if err := s.Remove(t.Context(), "a", ids[accepted]); err != nil {
		t.Errorf("the call is repeated: %v", err)
	}
}

// A change that the database can never record is given up. The others are recorded, and
// the message is not delivered again by this node.
func TestBadChange(t *testing.T) {
	var logs logged
	s := open(t, pgtest.Database(t), &Options{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	ids := numbered(20)
	putLeased(t, s, ids...)
	triggerOnUpdate(t, s, "if new.id = 'm0011' then raise division_by_zero; end if;")
	for i, id := range ids {
		m := newMessage(id)
		m.Recipients[0].Attempts = 1
		if i == 7 { // JSON has no such time
			m.Recipients[0].LastAttempt = time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		if err := s.Update(t.Context(), "a", m, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		want := 1
		if i == 7 || i == 11 {
			want = 0
			if !logs.has("id=" + id) {
				t.Errorf("the log does not have %s", id)
			}
		}
		if got := attemptsOf(t, s, id); got != want {
			t.Errorf("%s: %d attempts are recorded, want %d", id, got, want)
		}
	}
	if err := s.freeOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := one[[]string](t, s, "select array(select id from bridgehead.message where node is not null order by id)"); !slices.Equal(got, []string{ids[7], ids[11]}) {
		t.Errorf("leased are %v", got)
	}
}

// The waits between attempts are short, however long an outage lasts.
func TestRepeatsSoon(t *testing.T) {
	for n := range 1000 {
		if d := repeatAfter(n); d < 0 || d > 250*time.Millisecond {
			t.Fatalf("the wait after failure %d is %v", n, d)
		}
	}
}
