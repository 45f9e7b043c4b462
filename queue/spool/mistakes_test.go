package spool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What operators do to a spool, and what a program does whose Open failed:
// none of it may cost mail that is there.

// TestForeignSegments: a segment that is another spool's, or has another's
// number, is not taken for an empty one and deleted.
func TestForeignSegments(t *testing.T) {
	dir, path, _ := closedSpool(t, 3)
	_, foreign, _ := closedSpool(t, 3)
	log := filepath.Dir(path)
	for name, from := range map[string]string{"another spool's": foreign, "renamed": path} {
		to := filepath.Join(log, segmentName(7))
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(dir, nil); err == nil {
			s.Close()
			t.Errorf("%s: Open took it", name)
		} else if !strings.Contains(err.Error(), to) {
			t.Errorf("%s: the error does not name it: %v", name, err)
		}
		if _, err := os.Stat(to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(to)
	}
	s := openTest(t, dir)
	if n := s.Stats().Messages; n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}
