package pipetrace

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// On a full disk snapshots are lost, and mail continues. No file is incomplete. With
// room again, tracing continues: the next snapshot has the number of lost ones. The
// Logger gets one line when the loss begins and one when it ends.
func TestFullDisk(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 256)
	if !ok {
		return
	}
	var said strings.Builder
	tr := &Tracer{Dir: filepath.Join(dir, "trace"), Sender: "david@example.com", MaxDir: 200 << 10, Logger: slog.New(slog.NewTextHandler(&said, nil))}
	c := agenttest.Start(t, tr.Wrap([]smtpserver.Agent{adds("one", true, true), adds("two", true, true)})...).Dial(t)
	const each = 8 // snapshots of a message; Original.eml is written twice
	sent := 0
	send := func(n int) {
		for range n {
			if code, text := c.Send("david@example.com", to, mail); code != 250 {
				t.Fatal(code, text)
			}
			sent++
		}
	}
	send(1)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	send(10)
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 || !strings.Contains(said.String(), "pipeline trace cannot be written") {
		t.Errorf("%d errors were logged, want 1:\n%s", n, &said)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	send(2)
	var marks []string
	files := 0
	err := filepath.WalkDir(tr.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if !strings.HasPrefix(string(b), "X-CreatedBy: ") || !strings.HasSuffix(string(b), "\r\n\r\n") && !strings.HasSuffix(string(b), "body\r\n") {
			t.Errorf("%s is incomplete: %q", path, b)
		}
		if _, mark, ok := strings.Cut(string(b), "\r\nX-MessageSnapshot-Dropped: "); ok {
			marks = append(marks, mark)
		}
		return err
	})
	if err != nil || files != 3*(each-1) {
		t.Errorf("%d files, %v", files, err)
	}
	lost := 10 * each
	if len(marks) != 1 || !strings.HasPrefix(marks[0], fmt.Sprintf("%d snapshots before 20", lost)) {
		t.Errorf("marks %q, want one with %d", marks, lost)
	}
	if want := fmt.Sprintf(`msg="pipeline trace is written again" lost_snapshots=%d errors=%d`, lost, lost); strings.Count(said.String(), want) != 1 {
		t.Errorf("logged:\n%s\nwant %s", &said, want)
	}
	if n, err := size(tr.Dir); err != nil || tr.used != n {
		t.Errorf("%d bytes count for MaxDir, the files have %d, %v", tr.used, n, err)
	}
}
