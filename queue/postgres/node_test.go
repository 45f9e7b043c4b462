package postgres

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// quick are options with a short heartbeat.
func quick(name string) *Options {
	return &Options{Node: name, Beat: 100 * time.Millisecond, DeadAfter: time.Second, Connections: 3}
}

// steady are options with a short heartbeat, for nodes that a slow machine must not
// make dead.
func steady(name string) *Options {
	o := quick(name)
	o.DeadAfter = 20 * time.Second
	return o
}

// eventually waits until f returns true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// awaitNotice waits for a notice of a kind, and returns it.
func awaitNotice(t testing.TB, s *Store, kind queue.NoticeKind) queue.Notice {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case n, ok := <-s.Notices():
			if !ok {
				t.Fatalf("no notice %d: closed", kind)
			}
			if n.Kind == kind {
				return n
			}
		case <-timeout:
			t.Fatalf("no notice %d", kind)
		}
	}
}

// A logbook is a log for tests.
type logbook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// insert stores a message that the incarnation node has leased, without its content.
func insert(t testing.TB, s *Store, id string, node any, due any) {
	t.Helper()
	_, err := s.db.pool.Exec(t.Context(), `insert into bridgehead.message
		(id, hop, prio, ready, due, wait, node, lease, size, received, attempted, slot, content, sender, rcpts, envelope, state)
		values ($1, 0, 0, 0, $3, 0, $2, 7, 0, 0, false, 0, 0, 0, '{}', '', '')`, id, node, due)
	if err != nil {
		t.Fatal(err)
	}
}

// A node that stops reporting is dead after DeadAfter, and its messages are free. One
// that was only suspended finds that out, and begins a new incarnation.
func TestTakeover(t *testing.T) {
	url := pgtest.Database(t)
	a := open(t, url, quick("a"))
	var log logbook
	o := quick("b")
	o.Logger = log.logger()
	b := open(t, url, o)

	b.node.mu.Lock() // b does not look any more
	wake := sync.OnceFunc(b.node.mu.Unlock)
	defer wake()
	old := b.node.id.Load()
	insert(t, a, "one", old, nil)
	b.leases.add(old, "one", 7, 0, queue.Schedule{Owner: "q", Until: time.Now().Add(time.Hour)})
	if err := b.MayBegin("q", "one"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "takeover", func() bool {
		return one[bool](t, a, `select node is null and lease = 8 from bridgehead.message where id = 'one'`)
	})
	if one[string](t, a, `select state from bridgehead.node where id = $1`, old) != "dead" {
		t.Error("b is not dead")
	}
	if err := b.MayFinish("q", "one"); !isLost(err) {
		t.Errorf("MayFinish: %v", err)
	}
	wake()
	awaitNotice(t, b, queue.NoticeLost)
	awaitNotice(t, b, queue.NoticeContact)
	eventually(t, "a new incarnation", func() bool {
		id, err := b.node.incarnation()
		return err == nil && id != old
	})
	if err := b.MayFinish("q", "one"); !isLost(err) {
		t.Errorf("MayFinish in the new incarnation: %v", err)
	}
	if !strings.Contains(log.String(), "declared this node dead") {
		t.Errorf("log: %s", log.String())
	}
}

func isLost(err error) bool { return errors.Is(err, queue.ErrLeaseLost) }
