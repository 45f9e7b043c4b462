package protolog

import (
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A protocol log on a full disk has only complete lines and its header. It
// continues when there is space again.
func TestWriterOnFullDiskWithFiles(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 16)
	if !ok {
		return
	}
	logs, ballast := filepath.Join(dir, "log"), filepath.Join(dir, "ballast")
	for _, full := range []int{12 << 10, 16 << 10} { // one page is free, or none
		if err := os.WriteFile(ballast, make([]byte, full), 0o600); err != nil {
			t.Fatal(err)
		}
		w := NewWriter(&Files{Dir: logs, Prefix: "RECV", Header: Header("SMTP Receive Protocol Log", time.Now())}, "")
		var lost error
		for range 30 {
			w.Log(event("MAIL FROM:<" + strings.Repeat("a", 200) + "@example.com>"))
			lost = errors.Join(lost, w.Flush())
		}
		if !errors.Is(lost, syscall.ENOSPC) {
			t.Errorf("the disk is not full: %v", lost)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		w.Log(event("QUIT"))
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		names, err := filepath.Glob(filepath.Join(logs, "*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		b, err := os.ReadFile(names[0])
		if err != nil || !strings.HasPrefix(string(b), "#Software: Bridgehead\n") || !strings.HasSuffix(string(b), ",<,QUIT,\n") {
			t.Errorf("%v\n%s", err, b)
		}
		r := csv.NewReader(strings.NewReader(string(b)))
		r.Comment, r.FieldsPerRecord = '#', 9
		if lines, err := r.ReadAll(); err != nil || len(lines) < 1 || len(lines) > 30 {
			t.Errorf("%d lines, %v", len(lines), err)
		}
		if err := os.RemoveAll(logs); err != nil {
			t.Fatal(err)
		}
	}
}

// When lines are lost on a full disk, the log has their number, and the Logger gets
// one line at the beginning and one at the end. Close is no error, also if lines are
// lost then.
func TestLossIsMarked(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 16)
	if !ok {
		return
	}
	logs, ballast := filepath.Join(dir, "log"), filepath.Join(dir, "ballast")
	var said strings.Builder
	w := New(&Files{Dir: logs}, "SMTP Receive Protocol Log", "RECV")
	w.Logger = slog.New(slog.NewTextHandler(&said, nil))
	fill := func(n int) {
		for range n {
			w.Log(event("MAIL FROM:<" + strings.Repeat("a", 200) + "@example.com>"))
			w.Flush()
		}
	}
	fill(5)
	full := func() {
		t.Helper()
		if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
		fill(100)
	}
	full()
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors were logged, want 1:\n%s", n, said.String())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fill(1)
	name, err := filepath.Glob(filepath.Join(logs, "*"))
	if err != nil || len(name) != 1 {
		t.Fatal(name, err)
	}
	b, err := os.ReadFile(name[0])
	if err != nil {
		t.Fatal(err)
	}
	var lost int
	_, mark, _ := strings.Cut(string(b), "\n#Dropped: ")
	if _, err := fmt.Sscanf(mark, "%d lines before", &lost); err != nil || lost+strings.Count(string(b), ",MAIL") != 106 {
		t.Errorf("%d lines lost, %d written, of 106: %v", lost, strings.Count(string(b), ",MAIL"), err)
	}
	if want := fmt.Sprintf("lost_lines=%d errors=%d", lost, lost); !strings.Contains(said.String(), want) {
		t.Errorf("logged:\n%s\nwant %s", said.String(), want)
	}
	full()
	if err := w.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if n := strings.Count(said.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors were logged, want 2", n)
	}
}

// Text from a client cannot affect a terminal or spreadsheet that shows the log.
func TestEscapes(t *testing.T) {
	e := event("EHLO x\u009b31m\u2028\u202e")
	e.Remote, e.Context = "=1+1", "@SUM(1)"
	line := string(e.Append(nil))
	if want := `,"'=1+1",<,"EHLO x\u009B31m\u2028\u202E","'@SUM(1)"`; !strings.Contains(line, want) {
		t.Errorf("%s, want %s", line, want)
	}
}
