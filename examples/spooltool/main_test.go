package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

func TestTool(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	s, err := spool.Open(dir, &spool.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // the relay keeps the spool open meanwhile
	m := &queue.Message{
		ID: "m1", From: "from@example.org", Recipients: queue.Rcpt("to@example.net"),
		Content: queue.String("Subject: hello\r\n\r\n"), Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	if err := s.Put(context.Background(), m, queue.Schedule{Hop: queue.NextHop{Destination: "example.net"}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"list", "m1  2026-01-02T03:04:05Z  18     now  example.net"},
		{"show m1", "m1: 18 bytes from <from@example.org>, received 2026-01-02T03:04:05Z\n  <to@example.net> waiting, 0 attempts\n"},
		{"verify", "1 messages for 1 recipients, 18 bytes of content"},
		{"extract m1", "m1.eml"},
		{"export m1", "m1.replay"},
	} {
		verb, ids, _ := strings.Cut(tc.args, " ")
		var b strings.Builder
		if err := run(context.Background(), &b, out, append([]string{verb, dir}, strings.Fields(ids)...)); err != nil {
			t.Errorf("%s: %v", tc.args, err)
		}
		if !strings.Contains(b.String(), tc.want) {
			t.Errorf("%s printed\n%s\nwithout\n%s", tc.args, b.String(), tc.want)
		}
	}
	got, err := os.ReadFile(filepath.Join(out, "m1.eml"))
	if err != nil || string(got) != "Subject: hello\r\n\r\n" {
		t.Errorf("extracted %q, %v", got, err)
	}
	// An exported message can be imported with its envelope.
	got, err = os.ReadFile(filepath.Join(out, "m1.replay"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := queue.Import(queue.Bytes(got))
	if err != nil || again.From != m.From || again.Recipients[0].Addr != "to@example.net" {
		t.Errorf("exported %q: %v", got, err)
	}
	if err := run(context.Background(), &strings.Builder{}, out, []string{"list", t.TempDir()}); err == nil {
		t.Error("list of a folder without a spool succeeded")
	}
}
