package spool

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// setFail has the disk's calls fail as f says from now on; nil heals it.
func (d *simFS) setFail(f func(call int, op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// failsFromSync is a disk that takes what a commit writes and then fails its
// sync and all calls after.
func failsFromSync() func(int, string, string) error {
	failed := false
	return func(_ int, op, _ string) error {
		if failed = failed || op == "sync"; failed {
			return syscall.EIO
		}
		return nil
	}
}

// failsCommits is a disk that takes new segments and nothing written to them.
func failsCommits(_ int, op, name string) error {
	if op == "write" && filepath.Ext(name) == ".log" {
		return syscall.EIO
	}
	return nil
}

// crash ends the spool without a last write and returns the disk as the next
// process finds it.
func crash(s *Spool, d *simFS, power bool) *simFS {
	after := d
	if power {
		after = d.powerFails()
	}
	d.setFail(func(int, string, string) error { return syscall.EIO })
	s.Close()
	d.setFail(nil)
	return after
}

// waiting is the IDs of the messages that a spool finds on a disk.
func waiting(t *testing.T, d *simFS) string {
	t.Helper()
	s := openSim(t, d)
	if r := s.Recovery(); len(r.Damaged) > 0 {
		t.Errorf("damage: %+v", r.Damaged)
	}
	var ids []string
	for e, err := range s.List(bg, queue.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	s.tidy()
	s.Close()
	d.setFail(nil)
	return strings.Join(ids, " ")
}

// TestRefusedStaysRefused refuses a message while the disk fails for a moment.
// The disk works again, nobody submits anything, and the process dies: the
// message is gone for all later lives of the spool.
func TestRefusedStaysRefused(t *testing.T) {
	for seed := range uint64(20) {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d, power failure %v", seed, power), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newSimFS(seed)
					s := openSim(t, d)
					if err := s.Put(bg, testMessage("first", nil), forever); err != nil {
						t.Fatal(err)
					}
					d.setFail(failsFromSync())
					if err := s.Put(bg, testMessage("refused", nil), forever); err == nil {
						t.Fatal("Put without a sync succeeded")
					}
					time.Sleep(3 * retryDelay) // it fails again
					d.setFail(nil)
					time.Sleep(2 * retryDelay)
					if !s.healthy() {
						t.Error("the disk works, the spool does not")
					}
					d = crash(s, d, power)
					for life := range 4 {
						if got := waiting(t, d); got != "first" {
							t.Fatalf("in life %d there are %q, want the first message only", life, got)
						}
					}
				})
			})
		}
	}
}

// TestRefusedWithoutNewSegment refuses a message for one failed sync and want
// of a new segment, for which there is no descriptor: it is wiped out before
// Put returns.
func TestRefusedWithoutNewSegment(t *testing.T) {
	for seed := range uint64(20) {
		for _, power := range []bool{false, true} {
			d := newSimFS(seed)
			s := openSim(t, d)
			if err := s.Put(bg, testMessage("first", nil), forever); err != nil {
				t.Fatal(err)
			}
			syncs := 0
			d.setFail(func(_ int, op, name string) error {
				if op == "sync" {
					if syncs++; syncs == 1 {
						return syscall.EIO
					}
				}
				if op == "open" && filepath.Base(name) == spareName {
					return syscall.EMFILE
				}
				return nil
			})
			if err := s.Put(bg, testMessage("refused", nil), forever); err == nil {
				t.Fatal("Put without a sync succeeded")
			}
			d = crash(s, d, power)
			for range 4 {
				if got := waiting(t, d); got != "first" {
					t.Fatalf("seed %d, power failure %v: there are %q, want the first message only", seed, power, got)
				}
			}
		}
	}
}

// TestCutForGood leaves whole records behind the end of a segment: a batch that
// was refused, or one that a new segment got when this one failed it and whose
// message is gone since. The segment stays in need, and the next one, which
// says where it ends, is needed for nothing else. In none of the spool's later
// lives may the message rise again.
func TestCutForGood(t *testing.T) {
	for seed := range uint64(80) { // in one of 40 the wiping out leaves it whole
		cutForGood(t, seed, true)
	}
	cutForGood(t, 1, false)
}

func cutForGood(t *testing.T, seed uint64, refused bool) {
	d := newSimFS(seed)
	s := openSim(t, d)
	s.tidying.Lock() // the process dies before the segment is emptied
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Put(bg, testMessage(id, trialContent(id, 7<<10)), forever); err != nil {
			t.Fatal(err)
		}
	}
	syncs := 0
	d.setFail(func(_ int, op, _ string) error {
		if op == "sync" {
			syncs++
		}
		if syncs > 0 && refused || syncs == 1 && op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	err := s.Put(bg, testMessage("gone", nil), forever)
	if refused != (err != nil) {
		t.Fatalf("refused %v: Put: %v", refused, err)
	}
	d.setFail(nil)
	if !refused {
		if err := s.Remove(bg, "me", "gone"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	d.setFail(func(int, string, string) error { return syscall.EIO })
	s.tidying.Unlock()
	crash(s, d, false)
	for life := range 6 {
		if life < 3 { // nor is it emptied now
			d.setFail(failsCommits)
		}
		if got := waiting(t, d); got != "a b c" {
			t.Fatalf("refused %v, seed %d: in life %d there are %q, want a b c", refused, seed, life, got)
		}
	}
}
