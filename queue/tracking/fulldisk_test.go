package tracking_test

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// On a full disk lines are lost, but no line is broken and every file has its
// header. When there is room again, the log goes on and counts the lost lines.
func TestFullDisk(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 16)
	if !ok {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}}
		logs, ballast := filepath.Join(dir, "log"), filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 12<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		events := q.Subscribe(0)
		written := make(chan error)
		go func() { written <- (&tracking.Log{Dir: logs}).Write(events) }()
		submit := func(n int) {
			for range n {
				if err := q.Submit(context.Background(), &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(strings.Repeat("bob", 20) + "@example.net"), Content: queue.String("Subject: x\r\n\r\n")}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(110 * time.Millisecond) // so that each line is written by itself
			}
		}
		submit(20)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		submit(1)
		events.Close()
		if err := <-written; err != nil {
			t.Error(err)
		}
		names, err := filepath.Glob(filepath.Join(logs, "*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		b, err := os.ReadFile(names[0])
		if err != nil || !strings.HasPrefix(string(b), "#Software: ") || !strings.Contains(string(b), "\n#Dropped: ") {
			t.Fatalf("%v\n%s", err, b)
		}
		r := csv.NewReader(strings.NewReader(string(b)))
		r.Comment, r.FieldsPerRecord = '#', 23
		lines, err := r.ReadAll()
		if err != nil || len(lines) < 3 || len(lines) > 20 {
			t.Errorf("%d lines, %v", len(lines), err)
		}
	})
}

// Text from a client does not affect a program that shows the log, and a search
// finds it.
func TestEscapes(t *testing.T) {
	q := &queue.Queue{Store: new(memory.Store), Deliverer: sends{}}
	events := q.Subscribe(0)
	dir := t.TempDir()
	const subject = "=HYPERLINK(\"http://evil.example\")\u009b31mRED\u2028\u202etxt.exe\\u0041"
	to := []string{"=cmd|calc'A1@example.com", `"a;b"@example.com`}
	if err := q.Submit(context.Background(), &queue.Message{
		From: "-2+3@example.net", Recipients: queue.Rcpt(to...), Origin: queue.Origin{ClientHelo: "@SUM(1+1)", Protocol: "ESMTP"},
		Content: queue.String("Message-ID: <@SUM(1+1)>\r\nSubject: " + subject + "\r\n\r\nx\r\n"),
	}); err != nil {
		t.Fatal(err)
	}
	events.Close()
	if err := (&tracking.Log{Dir: dir}).Write(events); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(string(b)))
	r.Comment = '#'
	cells, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cells {
		if strings.ContainsAny(c, "\u009b\u202e\u2028") || c != "" && strings.ContainsAny(c[:1], "=+-@") {
			t.Errorf("column %d: %q", i, c)
		}
	}
	for e, err := range tracking.Search(dir, tracking.Filter{Recipient: to[0], Subject: subject, Sender: "-2+3@example.net"}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Recipients) != 2 || e.Recipients[1] != to[1] || e.Columns["message-subject"] != subject || e.Columns["client-hostname"] != "@SUM(1+1)" {
			t.Errorf("%+v", e)
		}
		return
	}
	t.Error("the search finds nothing")
}
