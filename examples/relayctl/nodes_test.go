package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An operator looks at the nodes, drains one, and ends that.
func TestNodes(t *testing.T) {
	w := newCluster(t)
	out := w.do("nodes").want(0).out
	for _, row := range []string{
		`(?m)^NODE +STATE +LEASED +BEAT +STARTED +DRAINING SINCE +BY +REASON +INFO$`,
		`(?m)^a \* +alive +5 +3s +20\S+Z +- +- +- +host=a.example.com version=v0.1.0$`,
		`(?m)^b +silent +7 +12s +20\S+Z +- +- +- +-$`,
		`(?m)^c +stopped +0 +2m0s +- +20\S+Z +vera +a new \\x1B disk +-$`,
	} {
		if !regexp.MustCompile(row).MatchString(out) {
			t.Errorf("%s does not match\n%s", row, out)
		}
	}
	if doc := w.do("nodes", "-json").want(0).json(); doc["total"] != 3.0 || doc["shared"] != true {
		t.Errorf("the document is %v", doc)
	}
	w.do("nodes", "a").want(2)

	draining := func(name string) queue.Draining {
		t.Helper()
		all, err := w.nodes.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			if n.Name == name {
				return n.Draining
			}
		}
		t.Fatalf("no node %s", name)
		return queue.Draining{}
	}
	w.do("drain").want(2, "one node")
	w.do("drain", "b", "c").want(2, "one node")
	w.do("drain", "b").want(4, "Drain the node b: 7 messages", "-yes")
	w.do("drain", "b", "-yes").want(2, "-reason")
	if d := draining("b"); d != (queue.Draining{}) {
		t.Fatalf("without -yes: %+v", d)
	}
	w.do("drain", "b", "-yes", "-reason", "a new kernel").want(0, "Drain the node b: done, 7 messages")
	if d := draining("b"); d.Reason != "a new kernel" || d.By == "" {
		t.Errorf("%+v", d)
	}
	w.do("drain", "b", "-yes", "-reason", "again").want(1, "draining already")
	w.do("drain", "z", "-yes", "-reason", "test").want(3, "no such node")
	w.do("undrain", "b").want(4, "End the draining of the node b: 1 node")
	w.do("undrain", "b", "-yes", "-reason", "it runs").want(0, "done, 1 node")
	if d := draining("b"); d != (queue.Draining{}) {
		t.Errorf("%+v", d)
	}
	w.do("undrain", "b", "-yes", "-reason", "again").want(1, "not draining")

	// A message that a node has leased.
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	if out := w.do("show", id).want(0).out; strings.Contains(out, "Leased by") {
		t.Errorf("no node has leased the message:\n%s", out)
	}
	w.nodes.Lease(id, "b")
	other := w.send("alice@example.com", "bob@closed.example", "Dinner")
	w.do("retry", "messages", "-sender", "alice@example.com", "-yes", "-reason", "test").
		want(0, "done, 1 message", "skipped, because the node b delivers them: 1 message")
	w.do("retry", "message", id, "-yes", "-reason", "test").want(1, "1 on b")
	w.do("remove", "message", other, "-yes", "-reason", "test").want(0)
	if out := w.do("show", id).want(0).out; !regexp.MustCompile(`(?m)^Leased by:? +b$`).MatchString(out) {
		t.Errorf("b has leased the message:\n%s", out)
	}
}

// A store that is used by one node has no nodes to list or drain.
func TestNodesOfAStoreForOneNode(t *testing.T) {
	w := newWorld(t, nil)
	w.do("nodes").want(3, "used by one node only")
	if doc := w.do("nodes", "-json").want(3).json(); doc["shared"] != false {
		t.Errorf("the document is %v", doc)
	}
	w.do("drain", "a", "-yes", "-reason", "test").want(1, "used by one node only")
}
