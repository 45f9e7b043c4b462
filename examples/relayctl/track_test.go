package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A helpdesk finds out what happened to a message, also after it was delivered.
func TestTrack(t *testing.T) {
	w := newWorld(t, nil)
	w.do("track").want(3)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	w.send("eve@example.org", "carol@closed.example", "Dinner")
	w.open("closed.example")
	w.do("retry", "all", "-yes", "-reason", "they accept mail again").want(0)
	w.inbox.Next(t)
	w.inbox.Next(t)
	peers.Await(t, "the log has both deliveries", func() bool { return strings.Count(w.do("track", "-event", "SEND", "-json").out, `"event":"SEND"`) == 2 })

	out := w.do("track", "-sender", "alice@*", "-since", "1h").want(0, "RECEIVE", "DEFER", "SEND  ", id, "<alice@example.com>", "bob@closed.example", "Lunch", "mx.hosts.test").out
	if strings.Contains(out, "eve@") {
		t.Errorf("the flags select nothing:\n%s", out)
	}
	if first := strings.Split(out, "\n")[1]; !strings.Contains(first, "Z  SEND  ") {
		t.Errorf("the newest entry is not the first one:\n%s", out)
	}
	w.do("track", "-subject", "dinner", "-event", "RECEIVE").want(0, "<eve@example.org>")
	w.do("track", "-limit", "1").want(0, "more entries")
	w.do("track", "-until", "1h").want(3)
	w.do("track", "-since", "1h", "-until", "2h").want(1, "before since")
	doc := w.do("track", "-recipient", "bob@closed.example", "-event", "SEND", "-json").want(0).json()
	if entries := doc["entries"].([]any); len(entries) != 1 || entries[0].(map[string]any)["id"] != id {
		t.Errorf("the document is %v", doc)
	}

	out = w.do("track", id).want(0, "RECEIVE", "DEFER", "451 4.7.1 closed", "SEND  ").out
	if strings.Index(out, "RECEIVE") > strings.Index(out, "SEND  ") {
		t.Errorf("the timeline does not begin with the first event:\n%s", out)
	}
	if doc := w.do("track", id, "-json").want(0).json(); doc["inQueue"] != false {
		t.Errorf("the document is %v", doc)
	}
	w.do("show", id).want(3)
	w.do("track", "none").want(3)
	w.do("track", id, "-sender", "alice@*").want(2)
}
