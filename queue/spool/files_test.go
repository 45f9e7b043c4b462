package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

func openTest(t *testing.T, dir string) *Spool {
	t.Helper()
	s, err := Open(dir, &Options{SegmentSize: 1 << 20, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func testMessage(id string, c queue.Content) *queue.Message {
	return &queue.Message{ID: id, From: "from@example.org", Recipients: queue.Rcpt("to@example.net"), Content: c}
}

// received returns a large message as a server has it: a new header in memory, and
// the body in a file of CreateFile.
func received(t *testing.T, s *Spool) (c *content.Content, f *os.File, text string) {
	t.Helper()
	f, err := s.CreateFile()
	if err != nil {
		t.Fatal(err)
	}
	header, body := "Subject: as it came\r\n\r\n", strings.Repeat("a line of the body\r\n", 30000)
	if _, err := f.WriteString(header + body); err != nil {
		t.Fatal(err)
	}
	edited := "Received: by us\r\nSubject: as it came\r\n\r\n"
	return content.Join(content.Of([]byte(edited)), content.Section(f, int64(len(header)), int64(len(body)))), f, edited + body
}

// files returns the number of content files.
func files(t *testing.T, s *Spool) int {
	t.Helper()
	es, err := os.ReadDir(s.files.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

// TestAdopt puts a large message that is in a file of CreateFile. The file is adopted
// and not copied. The content can be read after the file was closed.
func TestAdopt(t *testing.T) {
	for _, named := range []bool{false, true} {
		s := openTest(t, t.TempDir())
		s.files.named.Store(named)
		c, f, want := received(t, s)
		m := testMessage("m1", c)
		if err := s.Put(bg, m, queue.Schedule{Owner: "me", Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.Stat(s.files.name(1))
		if err != nil || !os.SameFile(info, kept) {
			t.Errorf("named %v: the file was not adopted: %v", named, err)
		}
		// A second message may have the same content.
		second := testMessage("m2", c)
		if err := s.Put(bg, second, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		for _, m := range []*queue.Message{m, second} {
			got, err := s.Get(bg, m.ID)
			if err != nil {
				t.Fatal(err)
			}
			if text(t, m.Content) != want || text(t, got.Content) != want {
				t.Errorf("named %v: %s has other content", named, m.ID)
			}
		}
		if err := s.Remove(bg, "me", "m1"); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil { // housekeeping has ended then
			t.Fatal(err)
		}
		s = openTest(t, s.dir)
		if n := files(t, s); n != 1 {
			t.Errorf("named %v: %d files are left, want one", named, n)
		}
		if got, err := s.Get(bg, "m2"); err != nil || text(t, got.Content) != want {
			t.Errorf("named %v: m2 has other content after a restart: %v", named, err)
		}
		if _, err := s.Get(bg, "m1"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("named %v: m1: %v, want ErrNotFound", named, err)
		}
	}
}

// TestAdoptRefused puts a message whose ID exists already. Nothing of it is left.
func TestAdoptRefused(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.Put(bg, testMessage("m1", nil), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	c, f, _ := received(t, s)
	defer f.Close()
	if err := s.Put(bg, testMessage("m1", c), queue.Schedule{}); !errors.Is(err, queue.ErrExists) {
		t.Fatalf("Put: %v, want ErrExists", err)
	}
	if n := files(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// TestFilesAreSwept leaves files without a message, like a crash.
func TestFilesAreSwept(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	s.files.named.Store(true)
	forgotten, err := s.CreateFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.files.dir, "00000000000000ff"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	if n, swept := files(t, s), s.Recovery().Swept; n != 0 || swept != 2 {
		t.Errorf("%d files are left and %d were swept, want 0 and 2", n, swept)
	}
	forgotten.Close() // here, so that the garbage collector does not close it before
}

// TestContentOfEndedMessage reads the content of a message that has ended.
func TestContentOfEndedMessage(t *testing.T) {
	s := openTest(t, t.TempDir())
	want := strings.Repeat("x", 300<<10)
	m := testMessage("m1", queue.String(want))
	if err := s.Put(bg, m, queue.Schedule{Owner: "me", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(bg, "m1")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Remove(bg, "me", "m1"), s.Sync(bg)); err != nil {
		t.Fatal(err)
	}
	s.tidy() // unless housekeeping has deleted the file before
	if n := files(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if _, err := got.Content.ReadAt(make([]byte, 10), 0); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("ReadAt: %v, want ErrNotFound", err)
	}
}

// A message whose content file is missing is damaged, and Recovery reports it.
func TestMissingContentFile(t *testing.T) {
	s := openTest(t, t.TempDir())
	m := testMessage("m1", queue.String(strings.Repeat("x", 300<<10)))
	if err := s.Put(bg, m, queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Remove(s.files.name(1))); err != nil {
		t.Fatal(err)
	}
	s, err := Open(s.dir, &Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d := s.Recovery().Damaged; len(d) != 1 || d[0].ID != "m1" {
		t.Errorf("Recovery: %+v", d)
	}
	got, err := s.Get(bg, "m1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Content.WriteTo(io.Discard); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("WriteTo: %v, want ErrDamaged", err)
	}
}
