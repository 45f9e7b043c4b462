package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An operator searches the queue and looks at a message.
func TestMessages(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	w.send("eve@example.org", "carol@closed.example", "Dinner")

	w.do("messages").want(0, id, "<alice@example.com>", "<eve@example.org>", "Lunch", "closed")
	out := w.do("messages", "-sender", "*@example.com", "-since", "1h").want(0, id).out
	if strings.Contains(out, "eve@") {
		t.Errorf("the flags select nothing:\n%s", out)
	}
	w.do("messages", "-before", "1h").want(3)
	w.do("messages", "-sender", "").want(2, "empty")
	w.do("messages", "-limit", "1").want(0, "more messages")
	doc := w.do("messages", "-recipient", "bob@closed.example", "-json").want(0).json()
	if rows := doc["messages"].([]any); len(rows) != 1 || rows[0].(map[string]any)["id"] != id {
		t.Errorf("the document is %v", doc)
	}
	if doc := w.do("messages", "-subject", "none", "-json").want(3).json(); len(doc["messages"].([]any)) != 0 {
		t.Errorf("the document is %v", doc)
	}

	w.do("show", id).want(0, id, "<bob@closed.example>", "Lunch", "451 4.7.1 closed", "client.example [127.0.0.1]", "DELAY", "relay.example.com  ESMTP")
	if doc := w.do("show", id, "-json").want(0).json(); doc["subject"] != "Lunch" || !strings.Contains(doc["lastError"].(string), "closed") {
		t.Errorf("the document is %v", doc)
	}
	w.do("show", "none").want(3)
	w.do("show").want(2)
}

// Each operation on messages has its effect, and only with -yes.
func TestOperations(t *testing.T) {
	w := newWorld(t, nil)
	status := func(id string) string {
		m, err := w.queue.Message(t.Context(), id)
		if err != nil {
			return err.Error()
		}
		return m.Status.String()
	}
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	other := w.send("eve@example.org", "carol@closed.example", "Dinner")

	w.do("suspend", "message", id).want(4, "Suspend the message "+id)
	w.do("suspend", "message", id, "-yes", "-reason", "look at it").want(0, "done, 1 message")
	if s := status(id); s != "suspended" {
		t.Errorf("the message is %s", s)
	}
	if s := status(other); s != "retry" {
		t.Errorf("the other message is %s", s)
	}
	w.do("resume", "messages", "-sender", "alice@example.com").want(4, "1 message", id)
	w.do("resume", "messages", "-sender", "alice@example.com", "-yes", "-reason", "it is fine").want(0)
	if s := status(id); s == "suspended" {
		t.Errorf("the message is %s", s)
	}

	w.open("closed.example")
	w.do("retry", "messages", "-sender", "nobody@example.com", "-yes", "-reason", "now").want(3, "nothing has changed")
	w.do("retry", "all").want(4, "messages")
	w.do("retry", "all", "-yes", "-reason", "send everything now").want(0)
	w.inbox.Next(t)
	w.inbox.Next(t)

	id = w.send("alice@example.com", "bob@shut.example", "Tea")
	w.do("redirect", "message", id, "-to-connector", "internet", "-to-destination", "gone.example", "-yes", "-reason", "another host").want(0)
	w.do("messages", "-queue", "internet:gone.example").want(0, id)
	w.do("resubmit", "message", id, "-yes", "-reason", "route it again").want(0)
	w.until("routed again", func() bool {
		return w.count(queue.Filter{Hop: &queue.NextHop{Connector: "internet", Destination: "shut.example"}}) == 1
	})
	w.do("resubmit", "queue", "shut.example").want(2, "select messages")
	doc := w.do("expire", "messages", "-recipient", "bob@shut.example", "-yes", "-reason", "too old", "-json").want(0).json()
	if doc["done"] != true || doc["count"] != 1.0 {
		t.Errorf("the document is %v", doc)
	}
	// The report about it cannot be delivered and becomes bad mail.
	w.until("the report", func() bool {
		return w.count(queue.Filter{Recipient: "alice@example.com", Status: queue.MessageBad}) == 1
	})

	w.do("remove", "messages", "-sender", "<>").want(4, "1 message")
	w.do("remove", "messages", "-sender", "<>", "-yes", "-reason", "not needed").want(0, "done, 1 message")
	if n := w.count(queue.Filter{}); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	w.do("remove", "message", id, "-yes", "-reason", "again").want(3)
}

// What an operation is applied to must be said exactly.
func TestSelection(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	for _, args := range [][]string{
		{"remove"},
		{"remove", id},
		{"remove", "message"},
		{"remove", "messages"},
		{"remove", "messages", "-sender", ""},
		{"remove", "messages", "-label", ""},
		{"remove", "message", id, "-sender", "alice@example.com"},
		{"remove", "all", id},
		{"remove", "all", "-sender", "alice@example.com"},
		{"remove", "queue"},
		{"remove", "queue", ""},
		{"remove", "queue", "closed.example", "-sender", "alice@example.com"},
		{"remove", "domain", "closed.example"},
		{"suspend", "domain"},
		{"suspend", "domain", "closed.example", "-sender", "alice@example.com"},
		{"suspend", "message", id, "-until", "1h"},
		{"suspend", "queue", "closed.example", "-until", "soon"},
		{"remove", "messages", "-before", "soon"},
	} {
		w.do(append(args, "-yes", "-reason", "a mistake")...).want(2)
	}
	w.do("remove", "message", "", "-yes", "-reason", "a mistake").want(1)
	w.do("remove", "queue", "internet:", "-yes", "-reason", "a mistake").want(1)
	if n := w.count(queue.Filter{Status: queue.MessageRetry}); n != 1 {
		t.Errorf("%d messages are left as they were, want 1", n)
	}
}

// The content of messages is written to files, which are not overwritten.
func TestExport(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	dir := t.TempDir()
	name := filepath.Join(dir, id+".eml")
	w.do("export", id, "-dir", dir).want(0, id+".eml")
	content, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(content), "Subject: Lunch\r\n") || !strings.HasSuffix(string(content), "\r\n\r\nAt noon?\r\n") {
		t.Errorf("the file has %q, %v", content, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	w.do("export", id, "-dir", dir).want(1, "exists")

	if out := w.do("export", id, "-dir", "-").want(0).out; out != string(content) {
		t.Errorf("the output is %q", out)
	}
	other := w.send("eve@example.org", "carol@closed.example", "Dinner")
	w.do("export", id, other, "-dir", "-").want(2)
	doc := w.do("export", "-recipient", "*@closed.example", "-dir", t.TempDir(), "-json").want(0).json()
	if doc["id"] != other {
		t.Errorf("the last document is %v", doc)
	}
	w.do("export", "none", "-dir", dir).want(3)
	w.do("export", "-sender", "nobody@example.com", "-dir", dir).want(3)
	w.do("export", "../x", "-dir", dir).want(2)
	w.do("export", "-dir", dir).want(2)
	w.do("export", id, "-envelope", "-dir", dir).want(1, "not suspended")
}
