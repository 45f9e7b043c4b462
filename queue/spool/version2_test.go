package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A spool that has records of this format has its version, so that an older program
// refuses it: in a new segment, and in an old one that is continued because the disk
// is full.
func TestNewRecordsHaveTheVersion(t *testing.T) {
	dir := unpack(t, "version1.tar.gz")
	s, err := Open(dir, &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	wait := queue.Schedule{Due: time.Unix(1.8e9, 0), Wait: 10 * time.Minute, Owner: "me", Until: time.Unix(1e10, 0)}
	if err := errors.Join(s.Put(bg, testMessage("new", nil), wait), s.Close()); err != nil {
		t.Fatal(err)
	}
	if v := versionOf(t, newestSegment(t, dir)); v != version {
		t.Errorf("the newest segment has version %d, want %d", v, version)
	}

	dir = unpack(t, "version1.tar.gz")
	s, err = Open(dir, &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := s.log
	l.mu.Lock()
	all, active := l.segments, l.active
	g := l.segments[1]
	l.segments = map[uint32]*segment{1: g} // as if there was no room for a new one
	before := versionOf(t, g.path)
	g.closed = false
	err = l.resume()
	l.segments, l.active = all, active
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if v := versionOf(t, g.path); before != 1 || v != version {
		t.Errorf("the old segment had version %d and has %d, want %d", before, v, version)
	}
}

// newestSegment returns the path of the last segment.
func newestSegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names[len(names)-1]
}

func versionOf(t *testing.T, path string) uint32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := parseSegmentHeader(b)
	if !ok {
		t.Fatalf("%s has no header", path)
	}
	return h.version
}
