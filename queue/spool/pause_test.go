package spool

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A failingDisk counts the segments that the spool begins and makes the spare of, by the
// second.
type failingDisk struct {
	*simFS
	segments map[time.Time]int
}

// failEvery makes each n-th call fail. After 100 segments in a second no call fails until
// the next second, so that a spool that does not pause fails the test and does not block it.
func failEvery(d *simFS, n, first int) *failingDisk {
	f := &failingDisk{d, make(map[time.Time]int)}
	calls := 0
	setFail(d, func(_ int, op, name string) error {
		second := time.Now().Truncate(time.Second)
		if op == "rename" && filepath.Base(name) == spareName {
			f.segments[second]++
		}
		if calls++; calls%n == first%n && f.segments[second] < 100 {
			return syscall.EIO
		}
		return nil
	})
	return f
}

// most returns the most segments in one second.
func (f *failingDisk) most() (n int) {
	f.Lock()
	defer f.Unlock()
	for _, k := range f.segments {
		n = max(n, k)
	}
	return n
}

// files returns how many files the log has on disk.
func (f *failingDisk) files() (n int) {
	f.Lock()
	defer f.Unlock()
	for name := range f.Names {
		if strings.HasSuffix(name, ".log") {
			n++
		}
	}
	return n
}

// TestPauseAfterFailure puts a message every five seconds on a disk with errors. Compaction
// of the segments that could not be written also fails. It does not begin segments
// without a pause. When the disk works again, the log becomes short.
func TestPauseAfterFailure(t *testing.T) {
	for n := 2; n <= 60; n++ {
		for first := range 3 {
			t.Run(fmt.Sprintf("%d+%d", n, first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { pauseAfterFailure(t, n, first) })
			})
		}
	}
}

func pauseAfterFailure(t *testing.T, n, first int) {
	d := newSimFS(1)
	s := openSim(t, d)
	if _, err := putUntil(t, s, 1); err != nil {
		t.Fatal(err)
	}
	failing := failEvery(d, n, first)
	for i := range 20 {
		id := fmt.Sprintf("more%d", i)
		s.Put(bg, testMessage(id, trialContent(id, 1000)), forever) // may fail
		time.Sleep(5 * time.Second)
	}
	if got := failing.most(); got > 10 {
		t.Errorf("%d segments in a second", got)
	}
	setFail(d, nil)
	time.Sleep(5 * time.Minute)
	if got := s.Stats().Segments; got > 3 {
		t.Errorf("the disk works again, and there are %d segments", got)
	}
	if has, want := failing.files(), s.Stats().Segments; has > want+1 { // at most one that a failing disk did not delete
		t.Errorf("the disk works again, and there are %d files for %d segments", has, want)
	}
}
