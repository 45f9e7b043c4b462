package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// The connection breaks at each byte of the request and of the answer. Put returns nil
// exactly if the message is in the queue, and the message never appears later.
func TestPutWithEachCut(t *testing.T) {
	cut := newCutter(t, pgtest.Database(t))
	s := open(t, cut.url, nil)
	for _, size := range []int{100, largeContent + 1} {
		for _, answer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, answer %v", size, answer), func(t *testing.T) { putWithEachCut(t, s, cut, size, answer) })
		}
	}
}

func putWithEachCut(t *testing.T, s *Store, cut *cutter, size int, answer bool) {
	step := 5 // of about 150 bytes
	if !answer {
		step = 97 // of about 3000 bytes
	}
	put := func(n int) (id string, err error) {
		id = fmt.Sprintf("cut-%d-%v-%d", size, answer, n)
		m := newMessage(id)
		text := "Subject: " + id + "\r\n\r\n"
		m.Content = queue.String(text + strings.Repeat("x", max(0, size-len(text))))
		return id, s.Put(context.Background(), m, leasedTo("a"))
	}
	put(-1) // prepares the statements
	kept, refused := 0, 0
	for n := 0; ; n += step {
		if size > largeContent && n > 20*step { // the rest is content
			break
		}
		cut.set(fmt.Sprintf("cut-%d-%v-%d\r", size, answer, n), answer, n)
		id, err := put(n)
		happened := cut.happened()
		found := slices.Contains(stored(t, s), id)
		if found != (err == nil) {
			t.Fatalf("cut after %d bytes: Put returned %v, and the message is in the queue: %v", n, err, found)
		}
		if err != nil {
			refused++
			if !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, errOutcomeUnknown) {
				t.Fatalf("cut after %d bytes: the error is %v, want ErrUnavailable", n, err)
			}
		} else if happened {
			kept++
			// The cut also ends the connection that records an earlier Remove.
			eventually(t, "Remove", func() bool {
				err := s.Remove(t.Context(), "a", id)
				if err != nil && !errors.Is(err, queue.ErrUnavailable) {
					t.Fatalf("the message is not leased: %v", err)
				}
				return err == nil
			})
		}
		if !happened {
			break
		}
	}
	if kept+refused == 0 {
		t.Error("nothing was cut")
	}
	t.Logf("%d were kept, %d refused", kept, refused)
}

// A server executes a group after the Store has considered it as not committed, because
// the group waited in a buffer. It fails then.
func TestFencedGroupFails(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	p, err := s.newPut(t.Context(), newMessage("m1"), queue.Schedule{})
	if err != nil {
		t.Fatal(err)
	}
	g := s.groups.new()
	for range 2 { // the answer to the first fence may be lost
		if committed, err := s.fence(t.Context(), g); committed || err != nil {
			t.Fatalf("the group is committed: %v, %v", committed, err)
		}
	}
	err = s.db.tx(t.Context(), func(b *pgx.Batch) { queueMessages(b, g, 1, 0, []*put{p}) })
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23505" { // unique_violation
		t.Errorf("the group returned %v", err)
	}
	if got := stored(t, s); len(got) > 0 {
		t.Errorf("stored are %v", got)
	}
}

// A group is still in progress when the Store asks for its outcome. The answer waits.
func TestFenceWaitsForGroup(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for _, commits := range []bool{true, false} {
		p, err := s.newPut(t.Context(), newMessage(fmt.Sprint(commits)), queue.Schedule{})
		if err != nil {
			t.Fatal(err)
		}
		g := s.groups.new()
		type answer struct {
			committed bool
			err       error
		}
		answers := make(chan answer, 1)
		err = s.db.stream(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			b := &pgx.Batch{}
			queueMessages(b, g, 1, 0, []*put{p})
			if err := tx.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			go func() {
				committed, err := s.fence(context.Background(), g)
				answers <- answer{committed, err}
			}()
			waitForLock(t, s)
			if !commits {
				return errors.New("rolled back")
			}
			return nil
		})
		if commits && err != nil {
			t.Fatal(err)
		}
		if a := <-answers; a.committed != commits || a.err != nil {
			t.Errorf("the group was committed: %v; the answer is %v, %v", commits, a.committed, a.err)
		}
	}
	if got := stored(t, s); !slices.Equal(got, []string{"true"}) {
		t.Errorf("stored are %v", got)
	}
}

// waitForLock waits until a transaction waits for a lock.
func waitForLock(t *testing.T, s *Store) {
	t.Helper()
	for !one[bool](t, s, "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')") {
		time.Sleep(time.Millisecond)
	}
}

// The answer to a commit is lost, and the database is away for a while after that. Put
// waits, and then returns nil, because the message is in the queue.
func TestPutWaitsForOutcome(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	proxy := server.Proxy(t)
	s := open(t, proxy.URL(url), nil)
	if err := s.Put(t.Context(), newMessage("m0"), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	fault := proxy.CutAnswer("bridgehead.message")
	done := make(chan error)
	go func() { done <- s.Put(context.Background(), newMessage("m1"), queue.Schedule{}) }()
	<-fault.Happened()
	proxy.Down()
	select {
	case err := <-done:
		// The fence may have been faster than Down.
		t.Logf("Put returned before the database was away: %v", err)
		proxy.Up()
		if err != nil {
			t.Error(err)
		}
	case <-time.After(50 * time.Millisecond):
		proxy.Up()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := stored(t, s); !slices.Equal(got, []string{"m0", "m1"}) {
		t.Errorf("stored are %v", got)
	}
}

// The server warns that it has not waited for the synchronous standby: a failover could
// lose the message. Put returns when the standby has it.
func TestPutWaitsForStandby(t *testing.T) {
	server := pgtest.Start(t)
	s := open(t, server.Database(t), nil)
	server.Set(t, "synchronous_standby_names = 'missing'")
	waitFor := func(what, query string) {
		t.Helper()
		for !one[bool](t, s, query) {
			time.Sleep(time.Millisecond)
		}
	}
	waitFor("the setting", "select current_setting('synchronous_standby_names') = 'missing'")
	done := make(chan error)
	go func() { done <- s.Put(context.Background(), newMessage("m1"), queue.Schedule{}) }()
	const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event = 'SyncRep'`
	for range 2 { // the group, and the question for its outcome
		waitFor("the commit", "select exists (select pg_cancel_backend(pid) from ("+waiting+") w)")
	}
	select {
	case err := <-done:
		t.Fatalf("Put returned %v before the standby had the message", err)
	case <-time.After(50 * time.Millisecond):
	}
	server.Set(t, "synchronous_standby_names = ''")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := stored(t, s); !slices.Equal(got, []string{"m1"}) {
		t.Errorf("stored are %v", got)
	}
}

// lockMessages locks the table of messages until the function that it returns is called.
func lockMessages(t *testing.T, s *Store) (unlock func()) {
	t.Helper()
	locked, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.db.stream(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "lock table bridgehead.message in share mode"); err != nil {
				t.Error(err)
			}
			close(locked)
			<-release
			return nil
		})
	}()
	<-locked
	return func() { close(release); <-ended }
}

// ctx ends while the group of a message is in progress. If the message is leased, Put
// returns at once, and the message is removed when the group has ended.
func TestPutAbandonsLeasedMessage(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	unlock := lockMessages(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Put(ctx, newMessage("m1"), leasedTo("a")) }()
	waitForLock(t, s)
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Put returned %v", err)
	}
	if _, err := s.leases.holds("a", "m1"); err == nil {
		t.Error("the message is leased")
	}
	unlock()
	// A Put with this ID waits for the removal.
	for {
		err := s.Put(t.Context(), newMessage("m1"), leasedTo("b"))
		if err == nil {
			break
		}
		if err != queue.ErrExists {
			t.Fatal(err)
		}
	}
	if n := one[int](t, s, "select count(*) from bridgehead.message where node is null"); n != 0 {
		t.Errorf("another node could claim the message")
	}
}

// If the message is not leased, another node may deliver it as soon as the group is
// committed. So Put returns when the outcome is known.
func TestPutDoesNotAbandonUnleasedMessage(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	unlock := lockMessages(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Put(ctx, newMessage("m1"), queue.Schedule{}) }()
	waitForLock(t, s)
	cancel()
	select {
	case err := <-done:
		t.Errorf("Put returned %v before the outcome was known", err)
	case <-time.After(20 * time.Millisecond):
	}
	unlock()
	if err := <-done; err != nil {
		t.Errorf("the message is in the queue, but Put returned %v", err)
	}
	if got := stored(t, s); !slices.Equal(got, []string{"m1"}) {
		t.Errorf("stored are %v", got)
	}
}

// ctx ends while the message waits for a group. It is not stored.
func TestPutLeavesGroup(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	unlock := lockMessages(t, s)
	done := make(chan error)
	for i := range committers {
		go func() { done <- s.Put(context.Background(), newMessage(fmt.Sprint("first", i)), queue.Schedule{}) }()
		for s.puts.busyNow() <= i {
			time.Sleep(time.Millisecond)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	abandoned := make(chan error)
	go func() { abandoned <- s.Put(ctx, newMessage("m1"), queue.Schedule{}) }()
	for s.puts.len() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-abandoned; err != context.Canceled {
		t.Errorf("Put returned %v", err)
	}
	unlock()
	for range committers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := stored(t, s); len(got) != committers {
		t.Errorf("stored are %v", got)
	}
}

func (q *puts) busyNow() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy
}

func (q *puts) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
