package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Log on a full disk loses trails, and mail continues. The file has only whole trails
// and the number of lost ones. The Logger gets one line when the loss begins and one
// when it ends.
func TestLogOnFullDisk(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 64)
	if !ok {
		return
	}
	var said strings.Builder
	l := NewLog(&Files{Dir: filepath.Join(dir, "log")})
	l.Logger = slog.New(slog.NewTextHandler(&said, nil))
	a := &Audit{Sink: l.Add}
	accept := smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil })
	c := agenttest.StartServer(t, &smtpserver.Server{Agents: a.Wrap(nil), Handler: a.Handler(accept)}).Dial(t)
	sent := 0
	send := func(n int) {
		for range n {
			if code, text := c.Send("alice@example.org", []string{"bob@example.com"}, "Subject: x\r\n\r\nbody\r\n"); code != 250 {
				t.Fatal(code, text)
			}
			sent++
		}
	}
	send(3)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	send(100)
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 || !strings.Contains(said.String(), "audit log cannot be written") {
		t.Errorf("%d errors were logged, want 1:\n%s", n, &said)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	send(2)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "log", "AUDIT*.log"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var lost int
	_, mark, _ := strings.Cut(string(b), "\n#Dropped: ")
	if _, err := fmt.Sscanf(mark, "%d trails before", &lost); err != nil || lost+strings.Count(string(b), ": accepted\n") != sent {
		t.Errorf("%d trails lost, %d written, of %d: %v", lost, strings.Count(string(b), ": accepted\n"), sent, err)
	}
	if want := fmt.Sprintf(`msg="audit log is written again" lost_trails=%d errors=%d`, lost, lost); strings.Count(said.String(), want) != 1 {
		t.Errorf("logged:\n%s\nwant %s", &said, want)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if !strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "#Dropped: ") && !strings.HasPrefix(line, "20") {
			t.Errorf("incomplete line %q", line)
		}
	}
}
