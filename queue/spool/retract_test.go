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

// setFail sets the function that makes calls fail. With nil the disk works.
func setFail(d *simFS, f func(call int, op, name string) error) {
	d.Lock()
	defer d.Unlock()
	d.Fail = f
}

// failsFromSync makes the next sync and all later calls fail. A write before that
// succeeds.
func failsFromSync() func(int, string, string) error {
	failed := false
	return func(_ int, op, _ string) error {
		if failed = failed || op == "sync"; failed {
			return syscall.EIO
		}
		return nil
	}
}

// failsCommits makes commits fail. New segments can be created.
func failsCommits(_ int, op, name string) error {
	if op == "write" && filepath.Ext(name) == ".log" {
		return syscall.EIO
	}
	return nil
}

// crash ends the spool without a last write. It returns the disk that the next process
// finds.
func crash(s *Spool, d *simFS, power bool) *simFS {
	after := d
	if power {
		after = d.PowerFails()
	}
	setFail(d, func(int, string, string) error { return syscall.EIO })
	s.Close()
	setFail(d, nil)
	return after
}

// waiting returns the IDs of the messages that a spool finds on a disk.
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
	setFail(d, nil)
	return strings.Join(ids, " ")
}

// In TestRefusedStaysRefused a message is refused because the disk fails. Then the disk
// works again, no message is submitted, and the process dies. The refused message does
// not come back at any later start.
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
					setFail(d, failsFromSync())
					if err := s.Put(bg, testMessage("refused", nil), forever); err == nil {
						t.Fatal("Put without a sync succeeded")
					}
					time.Sleep(3 * retryDelay) // it fails again
					setFail(d, nil)
					time.Sleep(2 * retryDelay)
					if !s.healthy() {
						t.Error("the disk works, the spool does not")
					}
					d = crash(s, d, power)
					for start := range 4 {
						if got := waiting(t, d); got != "first" {
							t.Fatalf("start %d finds %q, want only the first message", start, got)
						}
					}
				})
			})
		}
	}
}

// In TestRefusedWithoutNewSegment a message is refused because one sync fails and no new
// segment can be created. Its record is overwritten before Put returns.
func TestRefusedWithoutNewSegment(t *testing.T) {
	for seed := range uint64(20) {
		for _, power := range []bool{false, true} {
			d := newSimFS(seed)
			s := openSim(t, d)
			if err := s.Put(bg, testMessage("first", nil), forever); err != nil {
				t.Fatal(err)
			}
			syncs := 0
			setFail(d, func(_ int, op, name string) error {
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
					t.Fatalf("seed %d, power failure %v: found %q, want only the first message", seed, power, got)
				}
			}
		}
	}
}

// TestRecordsAfterEnd leaves complete records after the end of a segment. They are of a
// batch that was refused, or of a batch that was written to a new segment after a failed
// sync and whose message was removed. The segment is still needed. The next segment is
// needed only because its header has the end of this one. The message must not come back
// at any later start.
func TestRecordsAfterEnd(t *testing.T) {
	for seed := range uint64(80) { // with one of 40 the record is complete after retract
		recordsAfterEnd(t, seed, true)
	}
	recordsAfterEnd(t, 1, false)
}

func recordsAfterEnd(t *testing.T, seed uint64, refused bool) {
	d := newSimFS(seed)
	s := openSim(t, d)
	s.tidying.Lock() // the process dies before the segment is emptied
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Put(bg, testMessage(id, trialContent(id, 7<<10)), forever); err != nil {
			t.Fatal(err)
		}
	}
	syncs := 0
	setFail(d, func(_ int, op, _ string) error {
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
	setFail(d, nil)
	if !refused {
		if err := s.Remove(bg, "me", "gone"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	setFail(d, func(int, string, string) error { return syscall.EIO })
	s.tidying.Unlock()
	crash(s, d, false)
	for start := range 6 {
		if start < 3 { // the segment is not emptied yet
			setFail(d, failsCommits)
		}
		if got := waiting(t, d); got != "a b c" {
			t.Fatalf("refused %v, seed %d: start %d finds %q, want a b c", refused, seed, start, got)
		}
	}
}
