package spool

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// unpack unpacks the spool of an earlier program that was killed.
func unpack(t *testing.T, name string) (dir string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "spool")
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(to, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A spool in the first format (commit 3a8edb2) opens and nothing is lost. 40 messages
// were put. Every fourth was updated, every fourth was removed, and every tenth has its
// content in a file. m39 was being delivered when the process died.
func TestOpensVersion1(t *testing.T) {
	s, err := Open(unpack(t, "version1.tar.gz"), &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.Recovery()
	if r.Messages != 30 || len(r.Damaged) != 0 || r.Swept != 0 || fmt.Sprint(r.Interrupted) != "[m39]" {
		t.Errorf("%+v", r)
	}
	checkVersion(t, s, 0)
}

// A spool in the second format, which has changes and waits, opens and nothing is
// lost. The messages are those of TestOpensVersion1.
func TestOpensVersion2(t *testing.T) {
	s, err := Open(unpack(t, "version2.tar.gz"), &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.Recovery()
	if r.Messages != 30 || len(r.Damaged) != 0 || r.Swept != 0 || fmt.Sprint(r.Interrupted) != "[m39]" {
		t.Errorf("%+v", r)
	}
	checkVersion(t, s, 0)
	for i := range 40 {
		m, err := s.Get(bg, fmt.Sprintf("m%02d", i))
		switch {
		case i%4 == 2:
		case err != nil:
			t.Error(err)
		case i%4 == 1 && m.Recipients[0].RetryWait != 10*time.Minute, i%4 == 3 && m.Recipients[1].Attempts != i:
			t.Errorf("%s has the recipients %+v, %+v", m.ID, m.Recipients[0], m.Recipients[1])
		}
	}
}

// A spool in the third format, which has labels, opens and nothing is lost. The
// messages are those of TestOpensVersion2. It has no suspensions.
func TestOpensVersion3(t *testing.T) {
	s, err := Open(unpack(t, "version3.tar.gz"), &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.Recovery()
	if r.Messages != 30 || len(r.Damaged) != 0 || r.Swept != 0 || fmt.Sprint(r.Interrupted) != "[m39]" {
		t.Errorf("%+v", r)
	}
	for i := range 40 {
		id := fmt.Sprintf("m%02d", i)
		if i%5 != 0 || i%4 == 2 {
			continue
		}
		if m, err := s.Get(bg, id); err != nil || len(m.Options.Labels) != 1 || m.Options.Labels["tenant"] != id {
			t.Errorf("%s is %+v, %v", id, m, err)
		}
	}
	checkVersion(t, s, 5)
	if all, err := s.Suspensions(bg); len(all) != 0 || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

// A spool in the fourth format, which has suspensions, opens and nothing is lost: that
// of TestOpensVersion3, opened by a program of that version, which suspended a domain.
func TestOpensVersion4(t *testing.T) {
	s, err := Open(unpack(t, "version4.tar.gz"), &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.Recovery()
	if r.Messages != 30 || len(r.Damaged) != 0 || r.Swept != 0 || fmt.Sprint(r.Interrupted) != "[m39]" {
		t.Errorf("%+v", r)
	}
	checkVersion(t, s, 5)
	if all, err := s.Suspensions(bg); len(all) != 1 || all[0].Domain != "example.net" || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

// checkVersion checks the messages of a spool of an earlier version. If labeled is
// not 0, each message whose number is a multiple of it has a label.
func checkVersion(t *testing.T, s *Spool, labeled int) {
	t.Helper()
	for i := range 40 {
		id := fmt.Sprintf("m%02d", i)
		m, err := s.Get(bg, id)
		if i%4 == 2 {
			if !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("%s was removed: %v", id, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		size, attempts := 200, 0
		if i%10 == 3 {
			size = 9000
		}
		if i%4 == 1 {
			attempts = i
		}
		if m.From != "from@example.org" || m.Options.Labels != nil && (labeled == 0 || i%labeled != 0) || m.Options.EnvelopeID != "env"+id || m.Options.Body != "8BITMIME" ||
			m.Options.Priority != i%3-1 || !m.Received.Equal(time.Unix(1700000000+int64(i), 0)) ||
			len(m.Recipients) != 2 || m.Recipients[1].Addr != "other@example.net" || m.Recipients[0].Attempts != attempts ||
			text(t, m.Content) != text(t, trialContent(id, size)) {
			t.Errorf("%s is %+v", id, m)
		}
	}
	for e, err := range s.List(bg, queue.Query{Hop: &queue.NextHop{Connector: "out", Destination: "example.org"}}) {
		if err != nil || !e.Schedule.Due.Equal(time.Unix(1.8e9, 0)) {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if v := s.log.active.version; v != version {
		t.Errorf("new records go to a segment of version %d, so an older program would not refuse them", v)
	}
}

// A spool with a later format version is not opened, and the error says why.
func TestLaterVersion(t *testing.T) {
	dir := unpack(t, "version1.tar.gz")
	path := filepath.Join(dir, "log", segmentName(1))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, segmentHeaderLen)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	h, _ := parseSegmentHeader(b)
	h.version = version + 1
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, nil)
	if err == nil {
		s.Close()
		t.Fatal("Open succeeded")
	}
	for _, want := range []string{path, fmt.Sprintf("format version %d", version+1), fmt.Sprintf("supports %d", version)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not name %q", err, want)
		}
	}
}
