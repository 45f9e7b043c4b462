package spool

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestOpenOnFailingDisk opens a long log, which Open compacts. The disk fails the second
// sync of each new segment, and does not delete segments. So each segment that Open empties
// makes another one to empty. Open must not go on, and housekeeping compacts the log when
// the disk works.
func TestOpenOnFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSimFS(1)
		s := openSim(t, d)
		n, err := putUntil(t, s, 500)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for i := range n {
			if i%25 == 0 {
				kept++
			} else if err := s.Remove(bg, "me", fmt.Sprintf("m%04d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
		d = d.ProcessDies()
		s.Close()

		begun, syncs := 0, make(map[string]int)
		setFail(d, func(_ int, op, name string) error {
			base := filepath.Base(name)
			_, segment := segmentNumber(base)
			switch {
			case begun > 100: // the test fails, but it ends
			case op == "rename" && base == spareName:
				begun++
			case op == "remove" && segment, op == "rename" && segment:
				return syscall.EIO
			case op == "sync" && segment:
				if syncs[name]++; syncs[name] == 2 {
					return syscall.EIO
				}
			}
			return nil
		})
		s = openSim(t, d)
		d.Lock()
		if begun > 5 {
			t.Errorf("Open began %d segments", begun)
		}
		d.Unlock()
		setFail(d, nil)

		time.Sleep(5 * time.Minute)
		if st := s.Stats(); st.Segments > 3 || st.Messages != kept {
			t.Errorf("%d segments, %d messages; want at most 3, and %d", st.Segments, st.Messages, kept)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
