package queue_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A wrapped content is of a type that the package does not know.
type wrapped struct{ queue.Content }

func TestInMemory(t *testing.T) {
	file := content.Section(strings.NewReader("in a file"), 0, 9)
	for name, tc := range map[string]struct {
		c    queue.Content
		want string
		ok   bool
	}{
		"bytes":   {queue.Bytes([]byte("a"), []byte("b")), "ab", true},
		"string":  {queue.String("text"), "text", true},
		"empty":   {queue.Bytes(), "", true},
		"file":    {file, "", false},
		"mixed":   {content.Join(content.Of([]byte("header")), file), "", false},
		"unknown": {wrapped{queue.String("text")}, "", false},
		"nil":     {nil, "", false},
	} {
		chunks, ok := queue.InMemory(tc.c)
		if got := string(bytes.Join(chunks, nil)); ok != tc.ok || got != tc.want {
			t.Errorf("%s: InMemory returned %q, %v; want %q, %v", name, got, ok, tc.want, tc.ok)
		}
	}
	b := []byte("shared")
	if chunks, _ := queue.InMemory(queue.Bytes(b)); &chunks[0][0] != &b[0] {
		t.Error("InMemory copied the bytes")
	}
}
