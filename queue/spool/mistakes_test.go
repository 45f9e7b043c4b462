package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
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

// TestFailedOpenIsOver: when Open has failed, nothing of it goes on working
// on the disk, where the next Open may have succeeded meanwhile.
func TestFailedOpenIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSimFS(1)
		s := openSim(t, d)
		if err := s.Put(bg, testMessage("m1", queue.String("hello")), queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// The process died with the message in hand: Open has something to write.
		marks, err := d.Open("spool/inhand", create)
		if err != nil {
			t.Fatal(err)
		}
		if err := marks.WriteAt([][]byte{binary.LittleEndian.AppendUint64(nil, 1)}, 0); err != nil {
			t.Fatal(err)
		}
		d.fail = func(_ int, op, name string) error {
			if op == "write" && strings.HasSuffix(name, ".log") {
				return syscall.EIO
			}
			return nil
		}
		if s, err := open("spool", nil, d); err == nil {
			s.Close()
			t.Fatal("Open succeeded on a disk that takes no commit")
		}
		d.fail = nil
		before := d.calls
		<-time.After(time.Minute)
		synctest.Wait()
		if d.calls != before {
			t.Errorf("%d calls after Open had failed", d.calls-before)
		}
	})
}
