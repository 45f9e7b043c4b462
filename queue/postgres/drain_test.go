package postgres

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// nodeNamed returns what Nodes of s says about a node.
func nodeNamed(t testing.TB, s *Store, name string) queue.Node {
	t.Helper()
	all, err := s.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(n queue.Node) bool { return n.Name == name })
	if i < 0 {
		t.Fatalf("no node %q in %+v", name, all)
	}
	return all[i]
}

func TestNodes(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	o := steady("b")
	o.Beat, o.DeadAfter = 10*time.Second, time.Minute // the states do not depend on the load
	o.Info = map[string]string{"version": "v1", "host": "b.example.com"}
	b := open(t, url, o)
	o = steady("a")
	o.Beat, o.DeadAfter = 10*time.Second, time.Minute
	a := open(t, url, o)
	insert(t, a, "one", b.node.id.Load(), nil)
	insert(t, a, "two", b.node.id.Load(), nil)
	insert(t, a, "old", 50, nil)
	insert(t, a, "free", nil, nil)
	endedNode(t, a, 50, "b", "dead", time.Hour)
	insert(t, a, "three", 60, nil)
	endedNode(t, a, 60, "c", "alive", 25*time.Second)
	endedNode(t, a, 70, "d", "dead", time.Hour)
	endedNode(t, a, 80, "e", "stopped", time.Hour)
	endedNode(t, a, 81, "e", "dead", 2*time.Hour)
	if err := a.Drain(t.Context(), queue.Draining{Node: "e", By: "vera", Reason: "a new disk"}); err != nil {
		t.Fatal(err)
	}

	all, err := a.Nodes(t.Context())
	if err != nil || len(all) != 5 || !slices.IsSortedFunc(all, func(m, n queue.Node) int { return strings.Compare(m.Name, n.Name) }) {
		t.Fatalf("%+v, %v", all, err)
	}
	now := one[time.Time](t, a, `select clock_timestamp()`)
	for i, want := range []queue.Node{
		{Name: "a", State: queue.NodeAlive, This: true, Processes: 1},
		{Name: "b", State: queue.NodeAlive, Leased: 3, Processes: 1, Info: map[string]string{"version": "v1", "host": "b.example.com"}},
		{Name: "c", State: queue.NodeSilent, Leased: 1, Silent: 25 * time.Second},
		{Name: "d", State: queue.NodeDead, Silent: time.Hour},
		{Name: "e", State: queue.NodeStopped, Silent: time.Hour, Draining: queue.Draining{Node: "e", By: "vera", Reason: "a new disk"}},
	} {
		got := all[i]
		if got.Name != want.Name || got.State != want.State || got.This != want.This || got.Leased != want.Leased ||
			got.Processes != want.Processes || len(got.Info) != len(want.Info) || got.Info["host"] != want.Info["host"] {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		// The times are by the clock of the database.
		if late := got.Silent - want.Silent; late < 0 || late > 10*time.Second {
			t.Errorf("%s is silent for %v", got.Name, got.Silent)
		}
		if d := now.Sub(got.LastBeat) - got.Silent; d.Abs() > 10*time.Second {
			t.Errorf("%s: the last beat was at %v, silent for %v, now %v", got.Name, got.LastBeat, got.Silent, now)
		}
		if got.Started.After(got.LastBeat.Add(time.Second)) || now.Sub(got.Started) > 3*time.Hour {
			t.Errorf("%s has started at %v", got.Name, got.Started)
		}
		since := got.Draining.Since
		got.Draining.Since = time.Time{}
		if got.Draining != want.Draining || since.IsZero() != (want.Draining == queue.Draining{}) {
			t.Errorf("%s: %+v since %v", got.Name, got.Draining, since)
		}
	}
	holders, err := a.Holders(t.Context(), "three", "free", "old", "missing", "one")
	if want := []string{"c", "", "b", "", "b"}; err != nil || !slices.Equal(holders, want) {
		t.Errorf("holders %q, %v, want %q", holders, err, want)
	}
	// b sees that an earlier process with its name has a message.
	if holders, err := b.Holders(t.Context(), "one", "old"); err != nil || !slices.Equal(holders, []string{"b", "b (another process)"}) {
		t.Errorf("holders %q, %v", holders, err)
	}
}

// Two processes with one name work. Each knows itself, and warns of the other.
func TestNodesWithOneName(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var log logbook
	o := steady("a")
	o.Logger = log.logger()
	first := open(t, url, o)
	second := open(t, url, o)
	for _, s := range []*Store{first, second} {
		eventually(t, "warning", func() bool { return slices.Contains(s.StoreStats().Warnings, twinText) })
		eventually(t, "two processes", func() bool { return nodeNamed(t, s, "a").Processes == 2 })
		n := nodeNamed(t, s, "a")
		started := one[time.Time](t, s, `select started from bridgehead.node where id = $1`, s.node.id.Load())
		if !n.This || !n.Started.Equal(started) {
			t.Errorf("%+v, and this process has started at %v", n, started)
		}
		insert(t, s, "of "+started.String(), s.node.id.Load(), nil)
	}
	if !strings.Contains(log.String(), twinText) {
		t.Errorf("log: %s", log.String())
	}
	insert(t, first, "one", first.node.id.Load(), nil)
	for s, want := range map[*Store]string{first: "a", second: "a (another process)"} {
		if holders, err := s.Holders(t.Context(), "one"); err != nil || holders[0] != want {
			t.Errorf("holders %q, %v, want %q", holders, err, want)
		}
	}
	// Draining drains both.
	if err := second.Drain(t.Context(), queue.Draining{Node: "a", By: "test"}); err != nil {
		t.Fatal(err)
	}
	awaitNotice(t, first, queue.NoticeDrain)
	awaitNotice(t, second, queue.NoticeDrain)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one process", func() bool { return nodeNamed(t, first, "a").Processes == 1 })
	eventually(t, "no warning", func() bool { return len(first.StoreStats().Warnings) == 0 })
}

// A process that was started again is one process, although the row of the earlier one
// says that it is alive.
func TestNodeStartedAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	o := quick("other")
	o.Beat, o.DeadAfter = time.Minute, 3*time.Minute
	other := open(t, url, o)
	endedNode(t, other, 5, "a", "alive", time.Second)
	o.Node = "a"
	a := open(t, url, o)
	if n := nodeNamed(t, other, "a"); n.Processes != 1 || n.State != queue.NodeAlive || n.Silent > 30*time.Second {
		t.Errorf("%+v", n)
	}
	if w := a.StoreStats().Warnings; len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
}

func TestDrainUnknownNodes(t *testing.T) {
	t.Parallel()
	a := open(t, pgtest.Database(t), steady("a"))
	rows := func() int { return one[int](t, a, `select count(*) from bridgehead.drain`) }
	for _, off := range []bool{false, true} {
		if err := a.Drain(t.Context(), queue.Draining{Node: "b", Off: off, By: "test"}); !errors.Is(err, queue.ErrNoNode) {
			t.Errorf("off %v: %v", off, err)
		}
		if n := rows(); n != 0 {
			t.Errorf("off %v: %d nodes drain", off, n)
		}
	}
	// A node that drains but has not run for long is known, and can be undrained, once.
	if _, err := a.db.pool.Exec(t.Context(), `insert into bridgehead.drain (name, by, reason) values ('b', 'vera', 'a new disk')`); err != nil {
		t.Fatal(err)
	}
	if err := a.Drain(t.Context(), queue.Draining{Node: "b", Off: true, By: "test"}); err != nil || rows() != 0 {
		t.Errorf("%v, and %d nodes drain", err, rows())
	}
	if err := a.Drain(t.Context(), queue.Draining{Node: "b", Off: true, By: "test"}); !errors.Is(err, queue.ErrNoNode) {
		t.Errorf("again: %v", err)
	}
	// The end of a drain that is not one is no error.
	if err := a.Drain(t.Context(), queue.Draining{Node: "a", Off: true, By: "test"}); err != nil {
		t.Error(err)
	}
}

// The setting to drain survives a restart of the node.
func TestDrainSurvivesRestart(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := open(t, url, steady("a")), open(t, url, steady("b"))
	if err := a.Drain(t.Context(), queue.Draining{Node: "b", By: "vera", Reason: "a new disk"}); err != nil {
		t.Fatal(err)
	}
	awaitNotice(t, b, queue.NoticeDrain)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if d := nodeNamed(t, a, "b").Draining; d.By != "vera" || d.Reason != "a new disk" {
		t.Errorf("while it is stopped: %+v", d)
	}
	b = open(t, url, steady("b"))
	// The notice is there from the beginning, before any other.
	if n := <-b.Notices(); n.Kind != queue.NoticeDrain {
		t.Errorf("the first notice is %v", n)
	}
	if err := b.Drain(t.Context(), queue.Draining{Node: "b", Off: true, By: "vera"}); err != nil {
		t.Fatal(err)
	}
	awaitNotice(t, b, queue.NoticeUndrain)
	if d := nodeNamed(t, a, "b").Draining; d != (queue.Draining{}) {
		t.Errorf("afterwards: %+v", d)
	}
}
