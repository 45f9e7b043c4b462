package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A message that is exported with its envelope and removed can be submitted again.
func TestReplay(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	dir := t.TempDir()
	w.do("suspend", "message", id, "-yes", "-reason", "to move it").want(0)
	w.do("export", id, "-envelope", "-dir", dir).want(0)
	w.do("remove", "message", id, "-yes", "-reason", "it was exported").want(0)
	file := filepath.Join(dir, id+".eml")
	w.open("closed.example")

	w.do("replay", file).want(4, "from <alice@example.com> to 1 recipient")
	w.do("replay", file, "-yes").want(2, "-reason")
	if n := w.count(queue.Filter{}) + w.inbox.Len(); n != 0 {
		t.Fatalf("%d messages were sent without -yes", n)
	}

	// One file that is wrong keeps all of them from being sent.
	bad := filepath.Join(dir, "bad.eml")
	if err := os.WriteFile(bad, []byte("Subject: no envelope\r\n\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.do("replay", file, bad, "-yes", "-reason", "moved").want(1, "bad.eml")
	w.do("replay", file, filepath.Join(dir, "none.eml"), "-yes", "-reason", "moved").want(1, "none.eml")
	w.do("replay", dir, "-yes", "-reason", "moved").want(1, "not a file")
	w.do("replay").want(2)
	if n := w.count(queue.Filter{}) + w.inbox.Len(); n != 0 {
		t.Fatalf("%d messages were sent", n)
	}

	if doc := w.do("replay", file, "-yes", "-reason", "moved", "-json").want(0).json(); doc["done"] != true {
		t.Errorf("the document is %v", doc)
	}
	if got := w.inbox.Next(t); got.From != "alice@example.com" || got.To()[0] != "bob@closed.example" {
		t.Errorf("the message is from %s to %s", got.From, got.To())
	}
}
