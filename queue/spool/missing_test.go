package spool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A segment of the log is missing, the first or one in the middle. Open reports the
// content files of its messages and keeps them, also without the list of segments. A file
// that a crash may have left, and one whose message has ended, is deleted.
func TestMissingSegmentFiles(t *testing.T) {
	for _, missing := range []int{0, 1} {
		dir := t.TempDir()
		o := &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10}
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			size := 2000
			if i%5 == 0 {
				size = 9000 // in a file
			}
			id := fmt.Sprintf("m%02d", i)
			if err := s.Put(bg, testMessage(id, trialContent(id, size)), queue.Schedule{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "files", "*"))
		for _, f := range files {
			old := time.Now().Add(-2 * time.Hour)
			if err := os.Chtimes(f, old, old); err != nil {
				t.Fatal(err)
			}
		}
		crashLeft := filepath.Join(dir, "files", fmt.Sprintf("%016x", 5000))
		if err := os.WriteFile(crashLeft, []byte("never acknowledged"), 0o600); err != nil {
			t.Fatal(err)
		}
		segments, _ := filepath.Glob(filepath.Join(dir, "log", "*.log"))
		if len(segments) < 3 {
			t.Fatalf("%d segments", len(segments))
		}
		if err := errors.Join(os.Remove(segments[missing]), os.Remove(filepath.Join(dir, "log", listName))); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(dir, o); err != nil {
			t.Fatal(err)
		}
		left, _ := os.ReadDir(filepath.Join(dir, "files"))
		kept, _ := os.ReadDir(s.damagedDir())
		if len(kept) == 0 || len(s.Recovery().Damaged) == 0 || len(left)+len(kept) < len(files) {
			t.Errorf("missing %d: %d of %d content files are left, %d kept; %+v", missing, len(left), len(files), len(kept), s.Recovery())
		}
		s.Close()
	}
}

// A content file that a crash has left, and the file of a message that has ended, are
// deleted and not reported.
func TestSweepAfterCrash(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := s.Put(bg, testMessage("m1", trialContent("m1", 300<<10)), forever); err != nil {
		t.Fatal(err)
	}
	name := s.files.name(1)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Remove(bg, "me", "m1"), s.Close(), os.WriteFile(name, b, 0o600), os.WriteFile(s.files.name(2), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	if r := s.Recovery(); r.Swept != 2 || len(r.Damaged) != 0 {
		t.Errorf("%+v", r)
	}
}

// The directory damaged has a limit in files and in bytes. The oldest files are deleted,
// and each is logged.
func TestDamagedLimit(t *testing.T) {
	for _, tc := range []struct {
		bytes int64
		files int
		left  int
	}{{0, 0, 20}, {-1, -1, 20}, {0, 5, 5}, {3500, 0, 3}} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "damaged"), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			name := filepath.Join(dir, "damaged", fmt.Sprintf("%02d", i))
			at := time.Now().Add(time.Duration(i-100) * time.Minute)
			if err := errors.Join(os.WriteFile(name, make([]byte, 1000), 0o600), os.Chtimes(name, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		s, err := Open(dir, &Options{SegmentSize: 1 << 20, DamagedBytes: tc.bytes, DamagedFiles: tc.files, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		left, _ := os.ReadDir(filepath.Join(dir, "damaged"))
		if len(left) != tc.left || left[len(left)-1].Name() != "19" || strings.Count(log.String(), "oldest file was deleted") != 20-tc.left {
			t.Errorf("%+v: %d files are left\n%s", tc, len(left), &log)
		}
	}
}
