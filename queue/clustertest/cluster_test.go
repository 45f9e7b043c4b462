package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A test shows a program a cluster of two nodes.
func Example() {
	cluster := clustertest.New(queue.Node{Name: "a", State: queue.NodeAlive, This: true}, queue.Node{Name: "b", State: queue.NodeDead})
	var store queue.Store = struct {
		*memory.Store
		*clustertest.Cluster
	}{new(memory.Store), cluster}
	nodes, _ := store.(queue.Cluster).Nodes(context.Background())
	for _, n := range nodes {
		fmt.Println(n.Name, n.State)
	}
	// Output:
	// a alive
	// b dead
}

// Draining is shown, and the Queue of this node gets a notice of it.
func TestDrain(t *testing.T) {
	c := clustertest.New(queue.Node{Name: "b"}, queue.Node{Name: "a", This: true})
	draining := func() (names string) {
		nodes, err := c.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if n.Draining != (queue.Draining{}) {
				names += n.Name
			}
		}
		return names
	}
	for _, step := range []struct {
		do   queue.Draining
		err  error
		want string
	}{
		{queue.Draining{Node: "b", By: "vera"}, nil, "b"},
		{queue.Draining{Node: "a", By: "vera"}, nil, "ab"},
		{queue.Draining{Node: "z"}, queue.ErrNoNode, "ab"},
		{queue.Draining{Node: "b", Off: true}, nil, "a"},
		{queue.Draining{Node: "a", Off: true}, nil, ""},
	} {
		if err := c.Drain(t.Context(), step.do); !errors.Is(err, step.err) || draining() != step.want {
			t.Errorf("%+v: %v, %q drain, want %q", step.do, err, draining(), step.want)
		}
	}
	for _, want := range []queue.NoticeKind{queue.NoticeDrain, queue.NoticeUndrain} {
		if n := <-c.Notices(); n.Kind != want {
			t.Errorf("notice %d, want %d", n.Kind, want)
		}
	}
	if name := c.Name(); name != "a" {
		t.Errorf("this node is %q", name)
	}
}

// Holders returns what the test has set, and an error if the test wants one.
func TestHolders(t *testing.T) {
	c := clustertest.New()
	c.Lease("1", "a")
	if names, err := c.Holders(t.Context(), "2", "1"); err != nil || len(names) != 2 || names[0] != "" || names[1] != "a" {
		t.Errorf("%q, %v", names, err)
	}
	c.Fail(queue.ErrUnavailable)
	if _, err := c.Holders(t.Context(), "1"); !errors.Is(err, queue.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := c.Nodes(t.Context()); !errors.Is(err, queue.ErrUnavailable) {
		t.Error(err)
	}
	if err := c.Drain(t.Context(), queue.Draining{}); !errors.Is(err, queue.ErrUnavailable) {
		t.Error(err)
	}
}
