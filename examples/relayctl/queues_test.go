package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An operator looks at the queues, finds a domain that does not accept mail, and
// sends its mail when it does.
func TestQueues(t *testing.T) {
	w := newWorld(t, nil)
	w.send("alice@example.com", "bob@closed.example", "Lunch")
	w.send("alice@example.com", "carol@closed.example", "Dinner")
	w.send("alice@example.com", "dave@gone.example", "Tea")

	w.do("queues").want(0, "KEY", "internet:closed.example", "internet:gone.example", "connection refused")
	w.do("queues", "closed.*").want(0, "internet:closed.example")
	if out := w.do("queues", "closed.*").out; strings.Contains(out, "gone.example") {
		t.Errorf("the destination selects nothing:\n%s", out)
	}
	w.do("queues", "-sort", "messages", "-limit", "1").want(0, "internet:closed.example", "1 of ")
	w.do("queues", "-status", "suspended").want(3)
	w.do("queues", "-status", "strange").want(1, "status")

	page := w.do("queues", "closed.example", "-json").want(0).json()
	row := page["queues"].([]any)[0].(map[string]any)
	if row["destination"] != "closed.example" || row["messages"] != 2.0 {
		t.Errorf("the row is %v", row)
	}

	// Without -yes, nothing changes.
	w.do("retry", "queue", "closed.example").want(4, "Retry the queue", "2 messages", "-yes")
	w.do("retry", "queue", "closed.example", "-yes").want(2, "-reason")
	w.open("closed.example")
	w.do("retry", "queue", "closed.example", "-yes", "-reason", "they accept mail again").want(0, "done, 2 messages")
	w.inbox.Next(t)
	w.inbox.Next(t)
	w.do("retry", "queue", "nothing.example").want(3, "nothing.example")
}

// A suspended queue keeps its mail, until it is resumed.
func TestSuspend(t *testing.T) {
	w := newWorld(t, nil)
	w.send("alice@example.com", "bob@closed.example", "Lunch")
	hop := queue.NextHop{Connector: "internet", Destination: "closed.example"}
	suspended := func() *queue.Suspension {
		all, err := w.queue.Suspensions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Hop == hop || s.Domain == "closed.example" {
				return &s
			}
		}
		return nil
	}
	w.do("suspensions").want(3)
	w.do("suspend", "queue", "internet:closed.example").want(4, "1 message")
	if suspended() != nil {
		t.Fatal("the queue is suspended without -yes")
	}
	w.do("suspend", "queue", "internet:closed.example", "-until", "2h", "-reason", "they move", "-yes").want(0, "done, 1 queue")
	if s := suspended(); s == nil || s.Reason != "they move" || s.Until.IsZero() {
		t.Fatalf("the suspension is %+v", s)
	}
	w.do("queues").want(0, "suspended")
	w.do("suspensions").want(0, "closed.example", "they move")
	w.do("suspensions", "-json").want(0).json()

	w.open("closed.example")
	w.do("resume", "queue", "closed.example", "-yes", "-reason", "they have moved").want(0, "done")
	if suspended() != nil {
		t.Fatal("the queue is still suspended")
	}
	w.do("resume", "queue", "internet:closed.example", "-yes", "-reason", "again").want(1, "not suspended")

	w.do("suspend", "domain", "closed.example", "-yes", "-reason", "they move again").want(0)
	if s := suspended(); s == nil || s.Domain != "closed.example" || !s.Until.IsZero() {
		t.Fatalf("the suspension is %+v", s)
	}
	w.do("resume", "domain", "closed.example", "-yes", "-reason", "they have moved").want(0)
	if suspended() != nil {
		t.Fatal("the domain is still suspended")
	}
}

// The mail of a queue is sent to another next hop, or removed.
func TestRedirectAndRemoveQueues(t *testing.T) {
	w := newWorld(t, nil)
	w.send("alice@example.com", "bob@closed.example", "Lunch")
	w.do("redirect", "queue", "closed.example", "-yes", "-reason", "another host").want(2, "-to-destination")
	w.open("closed.example")
	// The name of the smart hosts of the other connector is its destination.
	w.do("redirect", "queue", "closed.example", "-to-connector", "internet", "-to-destination", "open.example").want(4, "1 message")
	w.do("redirect", "queue", "closed.example", "-to-connector", "internet", "-to-destination", "open.example", "-yes", "-reason", "another host").want(0, "done, 1 message")
	if got := w.inbox.Next(t).To(); got[0] != "bob@closed.example" {
		t.Errorf("the mail is for %s", got)
	}

	w.send("alice@example.com", "bob@shut.example", "Dinner")
	w.do("remove", "queue", "shut.example", "-report", "-yes", "-reason", "the domain is gone").want(0, "done, 1 message")
	if n := w.count(queue.Filter{Recipient: "bob@shut.example"}); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// The table of ages has a row for each domain.
func TestShape(t *testing.T) {
	w := newWorld(t, nil)
	w.do("shape").want(3)
	w.send("alice@example.com", "bob@closed.example", "Lunch")
	out := w.do("shape").want(0, "TOTAL", "closed.example", "1280+").out
	if lines := strings.Split(out, "\n"); !strings.HasPrefix(strings.TrimSpace(lines[1]), "TOTAL  1  1   0") {
		t.Errorf("the table is\n%s", out)
	}
	w.do("shape", "-senders", "-parents").want(0, "example.com", ".com")
	if doc := w.do("shape", "-json").want(0).json(); doc["total"].(map[string]any)["total"] != 1.0 {
		t.Errorf("the document is %v", doc)
	}
}

// The overview has the numbers of the relay. Without a terminal it is printed once.
func TestTop(t *testing.T) {
	w := newWorld(t, nil)
	w.send("alice@example.com", "bob@gone.example", "Lunch")
	// The console reads the totals again after two seconds.
	w.until("the totals have the message", func() bool { return strings.Contains(w.do("top").out, "messages 1,") })
	r := w.do("top").want(0, "relay.example.com: healthy", "messages 1,", "internet:gone.example", "NOT REACHABLE")
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("the output of a pipe has control sequences: %q", r.out)
	}
	r = w.do("top", "-n", "2", "-interval", "100ms", "-json").want(0)
	if n := strings.Count(r.out, "\n"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	if doc := r.json(); doc["totals"].(map[string]any)["messages"] != 1.0 {
		t.Errorf("the document is %v", doc)
	}
	w.do("top", "-interval", "1ms").want(2)
}
