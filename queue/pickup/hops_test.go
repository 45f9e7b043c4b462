package pickup_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/pickup"
)

// In both kinds of folder, a file with more Received fields than a server accepts
// is bad. A file with exactly the limit is submitted.
func TestHops(t *testing.T) {
	received := func(n int) string {
		return strings.Repeat("Received: from a by b; Sat, 28 Nov 2026 11:00:00 +0000\n", n) + "From: a@example.com\nTo: b@example.net\n\nHello\n"
	}
	const envelope = "X-Sender: <a@example.com>\nX-Receiver: <b@example.net>\nX-EndOfInjectedXHeaders: 1\n"
	for _, tt := range []struct {
		name   string
		replay bool
		file   string
		bad    bool
	}{
		{"pickup, thirty", false, received(30), false},
		{"pickup, thirty-one", false, received(31), true},
		{"replay, thirty", true, envelope + received(30), false},
		{"replay, thirty-one", true, envelope + received(31), true},
		{"replay, thirty and our own", true, envelope + "Received: from x by relay.example.com; Sat, 28 Nov 2026 11:00:00 +0000\n" + received(30), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := &queue.Queue{Store: new(memory.Store), Deliverer: nowhere{}, Hostname: "relay.example.com"}
			f := &pickup.Folder{Replay: tt.replay, Submit: func(ctx context.Context, m *queue.Message) error { return q.Submit(ctx, m) }}
			got, left := runFolder(t, f, 5, map[string]string{"a.eml": tt.file})
			why := left["a.bad.txt"]
			if tt.bad && !strings.Contains(why, "554 5.4.6") && !strings.Contains(why, "Too many hops") || !tt.bad && (len(got) != 1 || why != "") {
				t.Errorf("%s: %d submitted, left %q", tt.name, len(got), why)
			}
		})
	}
}

// nowhere is a Deliverer that is not used.
type nowhere struct{ queue.Deliverer }
