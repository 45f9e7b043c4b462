package spool

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// StoreStats knows why the spool cannot be written, and that it can again.
func TestStoreStatsErr(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	fail := func(f func(_ int, op, name string) error) {
		d.Lock()
		defer d.Unlock()
		d.Fail = f
	}
	if st := s.StoreStats(); st.Err != nil || st.Free != -1 {
		t.Fatalf("%+v", st)
	}
	// There is no room for another segment.
	fail(func(_ int, op, name string) error {
		if filepath.Base(name) == spareName && op == "write" {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := putUntil(t, s, 10000); !errors.Is(err, queue.ErrFull) {
		t.Fatal(err)
	}
	if st := s.StoreStats(); !errors.Is(st.Err, queue.ErrFull) {
		t.Errorf("full: %v", st.Err)
	}
	fail(nil)
	s.tidy()
	if st := s.StoreStats(); st.Err != nil {
		t.Errorf("with room again: %v", st.Err)
	}
	// Each write fails.
	fail(func(_ int, op, name string) error {
		if op == "write" || op == "sync" || op == "open" {
			return syscall.EROFS
		}
		return nil
	})
	if err := s.Put(bg, testMessage("refused", nil), forever); err == nil {
		t.Fatal("Put on a read-only disk")
	}
	if st := s.StoreStats(); !errors.Is(st.Err, queue.ErrReadOnly) {
		t.Errorf("read-only: %v", st.Err)
	}
	fail(nil)
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	if st := s.StoreStats(); st.Err != nil {
		t.Errorf("writable again: %v", st.Err)
	}
	s.Close()
	if st := s.StoreStats(); !errors.Is(st.Err, queue.ErrClosed) {
		t.Errorf("closed: %v", st.Err)
	}
}

// StoreStats counts commits, and the messages in them.
func TestStoreStatsCommits(t *testing.T) {
	s, err := Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before, commits := s.StoreStats(), s.Stats().Commits
	if before.Free <= 0 {
		t.Errorf("%d bytes free", before.Free)
	}
	if n, err := putUntil(t, s, 5); n != 5 {
		t.Fatal(err)
	}
	if err := s.Remove(bg, "me", "m0000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	after := s.StoreStats()
	if n := after.CommitDuration.Minus(before.CommitDuration); n.Count != s.Stats().Commits-commits || n.Count < 6 || n.Sum <= 0 {
		t.Errorf("commits: %+v", n)
	}
	if n := after.CommitMessages.Minus(before.CommitMessages); n.Count != 5 || n.Sum != 5 {
		t.Errorf("messages: %+v", n)
	}
}
