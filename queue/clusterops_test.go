package queue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// What an operator does on one node takes effect on the others at once, and within
// some seconds if notices are lost.
func TestOperationsOnOtherNodes(t *testing.T) {
	hop := queue.NextHop{Connector: "out", Destination: "example.net"}
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("notices lost: %v", lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, []string{"a", "b"}, nil)
				defer c.shutdown()
				a, b := c.node("a"), c.node("b")
				c.mu.Lock()
				c.lostAll = lost
				c.mu.Unlock()
				effect := func() {
					if synctest.Wait(); lost {
						b.after(5 * time.Second)
					}
				}
				s, err := a.q.Suspend(t.Context(), queue.Suspension{Hop: hop, Reason: "maintenance", By: "vera"})
				if err != nil {
					t.Fatal(err)
				}
				effect()
				b.submit("alice@example.com", "bob@example.net")
				b.after(time.Minute)
				if got := c.taken(); got != "" {
					t.Errorf("suspended: %s", got)
				}
				if all, err := b.q.Suspensions(t.Context()); err != nil || len(all) != 1 || all[0].By != "vera" || !all[0].Since.Equal(s.Since) {
					t.Errorf("on the other node: %+v, %v", all, err)
				}
				if err := a.q.Lift(t.Context(), queue.Suspension{Hop: hop}); err != nil {
					t.Fatal(err)
				}
				effect()
				if got := c.taken(); !strings.Contains(got, "bob@example.net") {
					t.Errorf("lifted: %q", got)
				}
			})
		})
	}
}

// A next hop that is dead on another node is probed there at once when its mail is
// retried.
func TestRetryOnOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a", "b"}, nil)
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		hop := queue.NextHop{Connector: "out", Destination: "example.net"}
		up := false
		for _, n := range c.nodes {
			n.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
				if up && n == b {
					return ok
				}
				return refused
			}
		}
		c.drain("a", true) // so that the mail is b's
		b.submit("alice@example.com", "bob@example.net")
		b.after(time.Second)
		c.taken()
		up = true
		if n, err := a.q.RetryQueues(t.Context(), func(h queue.NextHop) bool { return h == hop }); n != 1 || err != nil {
			t.Errorf("RetryQueues: %d, %v", n, err)
		}
		synctest.Wait()
		if got := c.taken(); got != "b: bob@example.net" || c.stored() != 0 {
			t.Errorf("%q, %d stored", got, c.stored())
		}
	})
}

// A retry reaches mail that another node has just released, although the store has not
// recorded that yet. Mail for other hops waits, and mail is not retried twice.
func TestRetryOfReleasedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			n.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result { return refused }
		})
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		b.late = 50 * time.Millisecond
		match := func(h queue.NextHop) bool { return h.Destination == "example.net" }
		c.drain("a", true) // so that the mail is b's
		retry := func() {
			t.Helper()
			if _, err := a.q.RetryQueues(t.Context(), match); err != nil {
				t.Error(err)
			}
		}
		b.submit("alice@example.com", "bob@example.net")
		b.submit("alice@example.com", "carol@example.org")
		synctest.Wait() // both were tried, and the store has not recorded that
		if got := c.taken(); got != "b: bob@example.net carol@example.org" {
			t.Fatalf("%q", got)
		}
		retry()
		b.after(2 * time.Second)
		if got := c.taken(); got != "b: bob@example.net" {
			t.Errorf("after a retry: %q", got)
		}
		retry()
		b.after(2 * time.Second)
		// The first node makes the mail due, and then tells the others of the retry. If b
		// has begun an attempt by then, it makes another one: it does not know that the
		// attempt in progress is a part of this retry.
		if got := c.taken(); got != "b: bob@example.net" && got != "b: bob@example.net bob@example.net" {
			t.Errorf("after another retry: %q", got)
		}
		b.after(time.Minute)
		if got := c.taken(); got != "" {
			t.Errorf("without a retry: %q", got)
		}
	})
}

// A hop that a node does not know is retried on the nodes that know it. Mail that waits
// for a request (ETRN) is delivered by the node that gets the request, also mail that
// another node accepts afterwards.
func TestRequestOnOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := map[string]*bool{"a": new(bool), "b": new(bool)}
		*held["a"], *held["b"] = true, true
		c := newCluster(t, []string{"a", "b"}, func(n *testNode) {
			n.q.Deliverer = pacedNode{n.world, held[n.name]}
		})
		defer c.shutdown()
		a, b := c.node("a"), c.node("b")
		b.submit("alice@example.com", "first@example.net")
		b.after(time.Minute)
		if got := c.taken(); got != "" {
			t.Fatal(got)
		}
		*held["a"] = false
		if _, err := a.q.RetryQueues(t.Context(), func(h queue.NextHop) bool { return h.Destination == "example.net" }); err != nil {
			t.Fatal(err)
		}
		b.submit("alice@example.com", "second@example.net")
		a.after(3 * time.Second)
		if got := c.taken(); got != "a: first@example.net second@example.net" {
			t.Errorf("%q", got)
		}
	})
}

type pacedNode struct {
	*world
	held *bool
}

func (p pacedNode) Pace(queue.NextHop) queue.Pace { return queue.Pace{Held: *p.held} }

// An operation on messages that other nodes deliver says how many were skipped, and
// which nodes have them. It is performed on all others.
func TestDoSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, []string{"a", "b", "c"}, takesTime(0, time.Minute))
		defer c.shutdown()
		a := c.node("a")
		suspend(t, a.q, queue.NextHop{Connector: "out", Destination: "waits.example"})
		synctest.Wait()
		for i, name := range []string{"a", "b", "b", "c"} {
			c.node(name).submit("alice@example.com", fmt.Sprintf("u%d@example.net", i))
			c.node(name).submit("alice@example.com", fmt.Sprintf("u%d@waits.example", i))
		}
		synctest.Wait()
		begun := time.Now()
		n, err := a.q.Do(t.Context(), queue.Filter{From: "alice@example.com"}, queue.Remove(false))
		var skipped *queue.SkippedError
		if !errors.As(err, &skipped) || n != 5 || skipped.Nodes["b"] != 2 || skipped.Nodes["c"] != 1 || skipped.Messages() != 3 {
			t.Fatalf("Do: %d, %v", n, err)
		}
		if want := "queue: 3 messages were skipped, because other nodes deliver them: 2 on b, 1 on c"; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("it has waited %v for messages that it cannot have", d)
		}
		a.after(2 * time.Minute)
		if got := c.taken(); got != "a: u0@example.net; b: u1@example.net u2@example.net; c: u3@example.net" || c.stored() != 0 {
			t.Errorf("%q, %d stored", got, c.stored())
		}
	})
}
