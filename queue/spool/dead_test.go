package spool

import (
	"fmt"
	"syscall"
	"testing"
)

// A dead segment is deleted although the sync of the directory fails after the first
// call that removes or renames its file.
func TestDeleteDeadAgain(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	n, err := putUntil(t, s, 200)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := s.Remove(bg, "me", fmt.Sprintf("m%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().Segments
	setFail(d, func(_ int, op, _ string) error {
		if op == "syncdir" {
			return syscall.EIO
		}
		return nil
	})
	s.tidy()
	s.tidy()
	setFail(d, nil)
	s.tidy()
	if after := s.Stats().Segments; before < 3 || after > 2 {
		t.Errorf("%d segments before, %d after", before, after)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
