package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// closedSpool makes a spool with n messages, each in its own commit, and closes it.
// It returns the path of the segment and the locations of the records.
func closedSpool(t *testing.T, n int) (dir, path string, at []loc) {
	t.Helper()
	dir = t.TempDir()
	s := openTest(t, dir)
	for i := range n {
		id := fmt.Sprintf("m%d", i)
		if err := s.Put(bg, testMessage(id, trialContent(id, 1000)), queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
		slot, _ := s.index.entries.Find(id)
		at = append(at, s.index.entries.At(slot).Data.message)
	}
	path = s.log.active.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, path, at
}

// overwrite changes a byte of a file.
func overwrite(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// TestDamage changes one byte and opens the spool again. The damage is reported and
// the damaged bytes are saved. All other messages are recovered.
func TestDamage(t *testing.T) {
	for _, tc := range []struct {
		name    string
		off     func(at []loc) int64
		lost    string // the message that does not exist any more
		cut     bool   // the damage is taken for a torn end
		badText string // the message that exists but cannot be read
	}{
		{name: "header in the middle", off: func(at []loc) int64 { return int64(at[2].off) + 9 }, lost: "m2"},
		{name: "mark in the middle", off: func(at []loc) int64 { return int64(at[2].off) }, lost: "m2"},
		{name: "envelope in the middle", off: func(at []loc) int64 { return int64(at[2].off) + headerLen + 5 }, lost: "m2"},
		{name: "content in the middle", off: func(at []loc) int64 { return int64(at[2].off+at[2].size) - 100 }, badText: "m2"},
		{name: "first record", off: func(at []loc) int64 { return int64(at[0].off) }, lost: "m0"},
		{name: "segment header", off: func(at []loc) int64 { return 20 }},
		{name: "last record", off: func(at []loc) int64 { return int64(at[4].off+at[4].size) - 100 }, lost: "m4", cut: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, path, at := closedSpool(t, 5)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			off := tc.off(at)
			overwrite(t, path, off)
			s, err := Open(dir, &Options{SegmentSize: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r := s.Recovery()
			damage := tc.lost != "" && !tc.cut || tc.badText != ""
			if damage != (len(r.Damaged) == 1) || tc.cut != (r.Cut > 0) {
				t.Errorf("Recovery: %+v", r)
			}
			for i := range 5 {
				id := fmt.Sprintf("m%d", i)
				m, err := s.Get(bg, id)
				if id == tc.lost {
					if !errors.Is(err, queue.ErrNotFound) {
						t.Errorf("Get %s: %v, want ErrNotFound", id, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("Get %s: %v", id, err)
					continue
				}
				_, err = m.Content.WriteTo(io.Discard)
				if damaged := errors.Is(err, queue.ErrDamaged); damaged != (id == tc.badText) || err != nil && !damaged {
					t.Errorf("reading %s: %v", id, err)
				}
				_, err = m.Content.ReadAt(make([]byte, 10), 0)
				if damaged := errors.Is(err, queue.ErrDamaged); damaged != (id == tc.badText) {
					t.Errorf("ReadAt %s: %v", id, err)
				}
			}
			for _, d := range r.Damaged {
				saved, err := os.ReadFile(d.Saved)
				want := before[d.Offset : d.Offset+d.Size]
				if err != nil || len(saved) != len(want) || bytes.Equal(saved, want) {
					t.Errorf("saved: %d bytes, want %d with one changed; %v", len(saved), len(want), err)
				}
			}
		})
	}
}

// TestDamageIsNotTorn damages the last record of a segment that has a next segment.
// The record was durable, so this is damage and not a torn end.
func TestDamageIsNotTorn(t *testing.T) {
	dir, path, at := closedSpool(t, 2)
	if err := openTest(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, int64(at[1].off)+20)
	v, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if r := v.Recovery(); len(r.Damaged) != 1 || r.Cut != 0 || r.Messages != 1 {
		t.Errorf("Recovery: %+v", r)
	}
}

// TestTornEnd cuts the log at many places in its last commit.
func TestTornEnd(t *testing.T) {
	dir, path, at := closedSpool(t, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := at[2]
	for keep := int64(last.off); keep < int64(last.off+last.size)-8; keep += 13 {
		torn := append(bytes.Clone(whole[:keep]), make([]byte, len(whole)-int(keep))...)
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r := v.Recovery(); r.Messages != 2 || len(r.Damaged) != 0 {
			t.Errorf("cut at %d: %+v", keep, r)
		}
		v.Close()
	}
}

// TestDamageWhileOpen damages the envelope of a waiting message in an open spool.
// Claim removes the message from the queue, saves it, and returns the next ones.
func TestDamageWhileOpen(t *testing.T) {
	s := openTest(t, t.TempDir())
	for i := range 3 {
		m := testMessage(fmt.Sprintf("m%d", i), trialContent("text", 100))
		m.Received = time.Unix(int64(i), 0)
		if err := s.Put(bg, m, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
	}
	slot, _ := s.index.entries.Find("m0")
	overwrite(t, s.log.active.path, int64(s.index.entries.At(slot).Data.message.off)+headerLen+3)
	ms, err := s.Claim(bg, queue.Claim{Owner: "me", Now: time.Now(), Until: time.Now().Add(time.Hour), Max: 2})
	if err != nil || len(ms) != 2 || ms[0].ID != "m1" || ms[1].ID != "m2" {
		t.Fatalf("claimed %d messages, %v", len(ms), err)
	}
	if es, err := os.ReadDir(s.damagedDir()); err != nil || len(es) != 1 {
		t.Errorf("%d files were saved, %v", len(es), err)
	}
	if _, err := s.Get(bg, "m0"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if st := s.Stats(); st.Damaged != 1 || st.Messages != 2 {
		t.Errorf("Stats: %+v", st)
	}
}

// TestForgery puts a message whose content consists of records of another spool, and
// damages the log before it. Recovery does not take the content for records.
func TestForgery(t *testing.T) {
	_, path, at := closedSpool(t, 1)
	other, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	forged := other[at[0].off : at[0].off+at[0].size]
	dir := t.TempDir()
	s := openTest(t, dir)
	evil := testMessage("evil", queue.Bytes(bytes.Repeat(forged, 50)))
	if err := s.Put(bg, evil, queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
	path = s.log.active.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, segmentHeaderLen+1)
	s = openTest(t, dir)
	if r := s.Recovery(); r.Messages != 0 {
		t.Errorf("recovered %d messages from the content of a message", r.Messages)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if _, err := Open(dir, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("second Open: %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, dir)
}

// A spool with a later format version is not opened and not changed.
func TestNewerFormat(t *testing.T) {
	dir, path, _ := closedSpool(t, 1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := parseSegmentHeader(b)
	if !ok {
		t.Fatal("no header")
	}
	h.version = version + 1
	copy(b, h.encode())
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("Open: %v, want one that names the version", err)
	}
	if after, err := filepath.Glob(filepath.Join(dir, "log", "*.log")); err != nil || len(after) != 1 {
		t.Errorf("%d segments, %v", len(after), err)
	}
}

// The file of a segment that is too large, and sparse, is an error of Open. Open does
// not read it, and the error names it.
func TestHugeSegment(t *testing.T) {
	dir, path, _ := closedSpool(t, 1)
	const size = 1 << 40
	if err := os.Truncate(path, size); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if s, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), fmt.Sprint(size)) {
		t.Errorf("Open: %v, want an error with the name and size of the file", err)
		if err == nil {
			s.Close()
		}
	}
	if _, err := Inspect(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Inspect: %v, want an error with the name of the file", err)
	}
}

// A segment that became long and sparse, but not too long, opens and nothing is lost.
func TestSparseSegment(t *testing.T) {
	dir, path, _ := closedSpool(t, 3)
	if err := os.Truncate(path, 256<<20); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	s := openTest(t, dir)
	if r := s.Recovery(); r.Messages != 3 || len(r.Damaged) != 0 {
		t.Errorf("Recovery: %+v", r)
	}
}
