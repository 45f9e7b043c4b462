package spool

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
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

// A dead segment got the name of the spare, and then the sync of the directory failed. The
// next spare replaces that file, and no message is lost or comes back.
func TestSpareAfterFailedSync(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	put := func(id string) {
		t.Helper()
		if err := s.Put(bg, testMessage(id, trialContent(id, 1000)), forever); err != nil {
			t.Fatal(err)
		}
	}
	spare := filepath.Join("spool", "log", spareName)
	renamed := false
	for i := 0; i < 500 && !renamed; i++ {
		id := fmt.Sprintf("gone%04d", i)
		put(id)
		if err := s.Remove(bg, "me", id); err != nil {
			t.Fatal(err)
		}
		setFail(d, func(_ int, op, name string) error {
			renamed = renamed || op == "rename" && name != spare
			if op == "syncdir" && renamed {
				return syscall.EIO
			}
			return nil
		})
		s.tidy()
		setFail(d, nil)
	}
	d.Lock()
	old := d.Names[spare]
	d.Unlock()
	if !renamed || old == nil {
		t.Fatal("no dead segment got the name of the spare")
	}
	for i := range 200 {
		put(fmt.Sprintf("kept%04d", i))
	}
	d.Lock()
	for name, f := range d.Names {
		if f == old {
			t.Errorf("the file of the dead segment is %s", name)
		}
	}
	d.Unlock()
	disk := d.PowerFails()
	s.Close()
	s = openSim(t, disk)
	if got := s.Stats().Messages; got != 200 {
		t.Errorf("%d messages, want 200", got)
	}
	for e, err := range s.List(bg, queue.Query{}) {
		if err != nil || e.ID < "kept" {
			t.Errorf("%s came back, error %v", e.ID, err)
		}
	}
	if got := s.Recovery().Damaged; len(got) > 0 {
		t.Errorf("damage: %v", got)
	}
}
