package spool

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Mistakes of operators, and failures of Open, must not lose mail.

// A segment of another spool, or with a wrong number, is an error. It is not taken for
// an empty segment and deleted.
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
			t.Errorf("%s: Open succeeded", name)
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

// After Open has failed, the spool does not use the disk any more. The next Open may
// have succeeded meanwhile.
func TestFailedOpenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSimFS(1)
		s := openSim(t, d)
		if err := s.Put(bg, testMessage("m1", queue.String("hello")), queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// The process died while it delivered the message, so Open has something
		// to write.
		marks, err := d.Open("spool/inhand", create)
		if err != nil {
			t.Fatal(err)
		}
		if err := marks.WriteAt([][]byte{binary.LittleEndian.AppendUint64(nil, 1)}, 0); err != nil {
			t.Fatal(err)
		}
		d.Fail = func(_ int, op, name string) error {
			if op == "write" && strings.HasSuffix(name, ".log") {
				return syscall.EIO
			}
			return nil
		}
		if s, err := open("spool", nil, d); err == nil {
			s.Close()
			t.Fatal("Open succeeded although commits fail")
		}
		d.Fail = nil
		before := d.Calls
		<-time.After(time.Minute)
		synctest.Wait()
		if d.Calls != before {
			t.Errorf("%d calls after Open had failed", d.Calls-before)
		}
	})
}

// TestReusedID puts a message with the ID of one that has ended. Then compaction moves
// the removal of the first message to a place after the second one.
func TestReusedID(t *testing.T) {
	d := newSimFS(3)
	s := openSim(t, d)
	s.log.mu.Lock()
	s.log.compactAge = 0
	s.log.mu.Unlock()
	fill := func(prefix string) (ids []string) { // to the end of the segment
		for n := s.log.active.number; s.log.active.number == n; {
			id := prefix + string(rune('a'+len(ids)/26)) + string(rune('a'+len(ids)%26))
			if err := s.Put(bg, testMessage(id, trialContent(id, 3000)), forever); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	again := func(what string) {
		t.Helper()
		if err := s.Put(bg, testMessage("again", queue.String(what)), forever); err != nil {
			t.Fatal(err)
		}
	}
	again("the first")
	fill("stays")
	if err := s.Remove(bg, "me", "again"); err != nil {
		t.Fatal(err)
	}
	goes := fill("goes")
	again("the second")
	fill("keeps")
	for _, id := range goes {
		if err := s.Remove(bg, "me", id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		s.tidy()
	}
	if s.Stats().Deleted == 0 {
		t.Fatal("no segment was deleted, so the test does not test compaction")
	}
	disk := d.PowerFails()
	for range 2 { // the second time after the first recovery
		s = openSim(t, disk)
		m, err := s.Get(bg, "again")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, m.Content); got != "the second" {
			t.Errorf("found %q", got)
		}
		if r := s.Recovery(); len(r.Damaged) != 0 {
			t.Errorf("damage: %+v", r.Damaged)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// When the second message ends too, there is none.
	s = openSim(t, disk)
	if _, err := s.Claim(bg, queue.Claim{Owner: "me", ID: "again", Now: time.Now(), Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Remove(bg, "me", "again"), s.Sync(bg)); err != nil {
		t.Fatal(err)
	}
	s.log.mu.Lock()
	s.log.compactAge = 0
	s.log.mu.Unlock()
	for range 10 {
		s.tidy()
	}
	disk = disk.PowerFails()
	s.Close()
	if _, err := openSim(t, disk).Get(bg, "again"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("after its end: %v", err)
	}
}

// TestFolderMoves renames the directory of an open spool, as if its disk were
// unmounted. A content file that is missing for this reason is not damaged. Otherwise
// the queue would give up its message.
func TestFolderMoves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := openTest(t, dir)
	want := strings.Repeat("x", 300<<10)
	if err := s.Put(bg, testMessage("m1", queue.String(want)), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	m, err := s.Get(bg, "m1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	_, err = m.Content.WriteTo(io.Discard)
	if err == nil || errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotFound) {
		t.Errorf("without the directory: %v, want a temporary error", err)
	}
	if err := os.Rename(dir+".old", dir); err != nil {
		t.Fatal(err)
	}
	if got := text(t, m.Content); got != want {
		t.Errorf("%d bytes with the directory again, want %d", len(got), len(want))
	}
}

// TestLogMissing opens a spool without its log. Its content files may be all that is
// left of the mail, so they are kept.
func TestLogMissing(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := s.Put(bg, testMessage("m1", queue.String(strings.Repeat("x", 300<<10))), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Rename(s.log.dir, s.log.dir+".old")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, &Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kept, err := os.ReadDir(s.damagedDir())
	if err != nil || len(kept) != 1 || len(s.Recovery().Damaged) != 1 {
		t.Errorf("kept %v, %v; damage: %+v", kept, err, s.Recovery().Damaged)
	}
}

// Open does not delete files that the spool has not created.
func TestSweepKeepsOtherFiles(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	folder, file := filepath.Join(s.files.dir, "lost+found"), filepath.Join(s.files.dir, "README")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	openTest(t, dir)
	for _, name := range []string{folder, file} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// TestDamagedKeepsItsFile damages the record of a large message in an open spool. The
// content file is moved to the directory damaged.
func TestDamagedKeepsItsFile(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.Put(bg, testMessage("m1", queue.String(strings.Repeat("x", 300<<10))), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	overwrite(t, s.log.active.path, int64(segmentHeaderLen+headerLen+5))
	if ms, err := s.Claim(bg, queue.Claim{Owner: "me", Now: time.Now(), Until: time.Now().Add(time.Hour)}); err != nil || len(ms) != 0 {
		t.Fatalf("Claim: %v, %v", ms, err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	s.tidy()
	var size int64
	kept, err := os.ReadDir(s.damagedDir())
	for _, k := range kept {
		info, err := k.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if err != nil || size < 300<<10 {
		t.Errorf("%d bytes were saved, %v", size, err)
	}
}

// TestLockFileRemoved removes the lock file, as an operator may do after ErrInUse. The
// spool still cannot be opened twice.
func TestLockFileRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if second, err := Open(dir, nil); !errors.Is(err, ErrInUse) {
		if err == nil {
			second.Close()
		}
		t.Errorf("Open: %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, dir)
}
