package spool

import (
	"os"
	"slices"
	"testing"
)

// died copies the directory of an open spool. The copy is what the process would leave
// if it died now.
func died(t *testing.T, s *Spool) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// In TestInterrupted the process dies twice while it delivers the same message, and
// then ends regularly.
func TestInterrupted(t *testing.T) {
	s := openTest(t, t.TempDir())
	for _, id := range []string{"bad", "good", "gone"} {
		if err := s.Put(bg, testMessage(id, nil), forever); err != nil {
			t.Fatal(err)
		}
		s.Begin(id)
	}
	s.End("good")
	if err := s.Remove(bg, "me", "gone"); err != nil {
		t.Fatal(err)
	}
	s.End("gone")
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	for start := 1; start <= 2; start++ {
		s = openTest(t, died(t, s))
		if got := s.Recovery().Interrupted; !slices.Equal(got, []string{"bad"}) {
			t.Errorf("start %d: %q were interrupted", start, got)
		}
		for id, want := range map[string]int{"bad": start, "good": 0} {
			m, err := s.Get(bg, id)
			if err != nil || m.Interrupted != want {
				t.Errorf("start %d: %s: %v, interrupted %d times, want %d", start, id, err, m.Interrupted, want)
			}
		}
		s.Begin("bad")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, s.dir)
	if m, err := s.Get(bg, "bad"); err != nil || m.Interrupted != 2 {
		t.Errorf("after a regular end: %v, interrupted %d times, want 2", err, m.Interrupted)
	}
}

// BenchmarkMark measures the marks of a delivery.
func BenchmarkMark(b *testing.B) {
	s, err := Open(b.TempDir(), &Options{SegmentSize: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(bg, testMessage("m1", nil), forever); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Begin("m1")
		s.End("m1")
	}
}
