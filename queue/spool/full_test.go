package spool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// openSim opens a spool on a simulated disk.
func openSim(t *testing.T, d *simFS) *Spool {
	t.Helper()
	s, err := open("spool", &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10}, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var forever = queue.Schedule{Owner: "me", Until: time.Unix(1e10, 0)}

// putUntil puts messages of 1 KiB until the spool refuses one, but not more than
// most messages.
func putUntil(t *testing.T, s *Spool, most int) (n int, err error) {
	t.Helper()
	for ; n < most; n++ {
		id := fmt.Sprintf("m%04d", n)
		if err := s.Put(bg, testMessage(id, trialContent(id, 1000)), forever); err != nil {
			return n, err
		}
	}
	return n, nil
}

// TestFullDisk fills the disk. New mail is refused with ErrFull, and accepted mail
// can be read, updated and removed. When there is room again, new mail is accepted.
func TestFullDisk(t *testing.T) {
	for _, inodes := range []bool{false, true} {
		d := newSimFS(1)
		s := openSim(t, d)
		room := 3 // segments
		d.Fail = func(_ int, op, name string) error {
			if filepath.Base(name) != spareName {
				return nil
			}
			if inodes && op == "open" {
				if room == 0 {
					return syscall.ENOSPC
				}
				room--
			}
			if !inodes && op == "write" && len(d.Names) > 5 {
				return syscall.ENOSPC
			}
			return nil
		}
		n, err := putUntil(t, s, 10000)
		if !errors.Is(err, queue.ErrFull) || n < 64 {
			t.Fatalf("inodes %v: put %d messages, then %v; want ErrFull", inodes, n, err)
		}
		for i := range n {
			m, err := s.Get(bg, fmt.Sprintf("m%04d", i))
			if err != nil {
				t.Fatal(err)
			}
			if text(t, m.Content) != text(t, trialContent(m.ID, 1000)) {
				t.Fatalf("%s has other content", m.ID)
			}
			if i%10 == 0 { // not all, because the reserved room is limited
				m.Recipients[0].Attempts++
				err = s.Update(bg, "me", m, forever)
			} else if i%2 == 0 {
				err = s.Remove(bg, "me", m.ID)
			}
			if err != nil {
				t.Fatalf("inodes %v: disposition %d on a full disk: %v", inodes, i, err)
			}
		}
		if err := s.Sync(bg); err != nil {
			t.Fatalf("inodes %v: Sync on a full disk: %v", inodes, err)
		}
		// Now the disk has room again.
		d.Lock()
		d.Fail = nil
		d.Unlock()
		s.tidy()
		if err := s.Put(bg, testMessage("new", nil), forever); err != nil {
			t.Fatalf("inodes %v: Put with room again: %v", inodes, err)
		}
	}
}

// TestFullDiskAtOpen opens a spool on a full disk. The spool continues its last segment
// until new mail needs the room for dispositions.
func TestFullDiskAtOpen(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	n, err := putUntil(t, s, 40)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		disk := d.PowerFails()
		s.Close()
		d = disk
		d.Capacity = d.Used()
		s = openSim(t, d)
		err = nil
		for i := range 100 {
			if err = s.Put(bg, testMessage(fmt.Sprintf("new%d-%d", n, i), trialContent("new", 1000)), queue.Schedule{}); err != nil {
				break
			}
			n++
		}
		if !errors.Is(err, queue.ErrFull) {
			t.Errorf("Put: %v, want ErrFull", err)
		}
		ms, err := s.Claim(bg, queue.Claim{Owner: "me", Now: time.Unix(1, 0), Until: time.Unix(1e10, 0), Max: 1e6})
		if err != nil || len(ms) != n {
			t.Fatalf("claimed %d of %d messages, %v", len(ms), n, err)
		}
		for _, m := range ms[:10] {
			if err := s.Remove(bg, "me", m.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
		n -= 10
	}
}

// TestSmallDiskAtOpen opens a new spool on a disk without room for a segment. The log says
// that new mail is refused and, when there is room, that it is accepted.
func TestSmallDiskAtOpen(t *testing.T) { synctest.Test(t, testSmallDiskAtOpen) }

func testSmallDiskAtOpen(t *testing.T) {
	d := newSimFS(1)
	d.Capacity = 40 << 10
	var log bytes.Buffer // Close ends the writes to it
	s, err := open("spool", &Options{SegmentSize: 64 << 10, Logger: slog.New(slog.NewTextHandler(&log, nil))}, d)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(bg, testMessage("m", nil), forever); !errors.Is(err, queue.ErrFull) {
		t.Errorf("Put: %v, want ErrFull", err)
	}
	d.Lock()
	d.Capacity = 1 << 20
	d.Unlock()
	time.Sleep(time.Minute) // the spool tries again
	if err := s.Put(bg, testMessage("m", nil), forever); err != nil {
		t.Errorf("Put with room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, after, refused := strings.Cut(log.String(), "no room for another segment, new mail is refused")
	if !refused || strings.Count(after, "new mail is accepted") != 1 || strings.Contains(after, "refused") {
		t.Errorf("the log is\n%s", &log)
	}
}

// TestFullDiskEmpties removes all messages on a full disk. The free segments are
// reused.
func TestFullDiskEmpties(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	d.Fail = func(_ int, op, name string) error {
		if op == "write" && filepath.Base(name) == spareName && len(d.Names) > 5 {
			return syscall.ENOSPC
		}
		return nil
	}
	n, err := putUntil(t, s, 10000)
	if !errors.Is(err, queue.ErrFull) {
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
	s.tidy()
	if again, err := putUntil(t, s, n/2); err != nil {
		t.Fatalf("after %d removals %d were put, then %v", n, again, err)
	}
}

// TestReadOnly makes the disk of an open spool read-only.
func TestReadOnly(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	if _, err := putUntil(t, s, 10); err != nil {
		t.Fatal(err)
	}
	d.Lock()
	d.Fail = func(_ int, op, name string) error {
		switch op {
		case "write", "sync", "rename", "remove", "syncdir":
			return syscall.EROFS
		}
		return nil
	}
	d.Unlock()
	if err := s.Put(bg, testMessage("new", nil), forever); !errors.Is(err, queue.ErrReadOnly) {
		t.Errorf("Put: %v, want ErrReadOnly", err)
	}
	m, err := s.Get(bg, "m0003")
	if err != nil || !strings.HasPrefix(text(t, m.Content), "m0003") {
		t.Errorf("Get: %v", err)
	}
	// The first disposition may succeed, because the spool learns from its commit
	// that the disk is read-only. All later ones fail.
	err = s.Update(bg, "me", m, forever)
	if syncErr := s.Sync(bg); !errors.Is(syncErr, queue.ErrReadOnly) {
		t.Errorf("Update: %v, then Sync: %v, want ErrReadOnly", err, syncErr)
	}
	if err := s.Remove(bg, "me", "m0004"); !errors.Is(err, queue.ErrReadOnly) {
		t.Errorf("Remove: %v, want ErrReadOnly", err)
	}
	if _, err := s.Get(bg, "m0004"); err != nil {
		t.Errorf("Get after a Remove that failed: %v", err)
	}
	d.Lock()
	d.Fail = nil
	d.Unlock()
	if err := s.Sync(bg); err != nil {
		t.Fatalf("Sync with a disk that can be written again: %v", err)
	}
	if err := s.Remove(bg, "me", "m0004"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if err := s.Put(bg, testMessage("new", nil), forever); err != nil {
		t.Errorf("Put: %v", err)
	}
}

// TestNoNewSegment fails the last step of beginning a segment. The new segment may
// exist, and its header has the end of the old one. So no record may be added to the
// old segment.
func TestNoNewSegment(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	fails := 1
	d.Lock()
	d.Fail = func(_ int, op, name string) error {
		if op == "syncdir" && filepath.Base(name) == "log" && fails > 0 {
			fails--
			return syscall.EIO
		}
		return nil
	}
	d.Unlock()
	acked := make(map[string]bool)
	for i := range 300 {
		size := 7000
		if i%2 == 0 {
			size = 10 // would fit into the old segment
		}
		id := fmt.Sprintf("m%04d", i)
		if s.Put(bg, testMessage(id, trialContent(id, size)), forever) == nil {
			acked[id] = true
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSim(t, d)
	for id := range acked {
		if _, err := s.Get(bg, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if n := s.Stats().Messages; n != len(acked) || fails != 0 {
		t.Errorf("%d messages, %d were acknowledged; %d faults to go", n, len(acked), fails)
	}
}

// A disk that fails is not reported as a full one.
func TestBrokenDiskIsNotFull(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT} {
		var log bytes.Buffer
		d := newSimFS(1)
		s, err := open("spool", &Options{SegmentSize: 64 << 10, Logger: slog.New(slog.NewTextHandler(&log, nil))}, d)
		if err != nil {
			t.Fatal(err)
		}
		setFail(d, func(_ int, op, name string) error {
			if op == "write" && filepath.Base(name) == spareName {
				return errno
			}
			return nil
		})
		_, err = putUntil(t, s, 10000)
		full := errno != syscall.EIO
		if err == nil || !errors.Is(err, errno) || errors.Is(err, queue.ErrFull) != full {
			t.Errorf("%v: Put: %v", errno, err)
		}
		s.Close()
		if !strings.Contains(log.String(), "new mail is refused") || strings.Contains(log.String(), "room") != full {
			t.Errorf("%v: the log is\n%s", errno, &log)
		}
	}
}
