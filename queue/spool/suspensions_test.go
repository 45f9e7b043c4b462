package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// threeSuspensions makes a spool with three suspensions and closes it.
func threeSuspensions(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := openTest(t, dir)
	for i := range 3 {
		su := queue.Suspension{Domain: fmt.Sprintf("d%d.example", i), Reason: "moves", By: "alice", Since: time.Unix(1e9, 1000)}
		if err := s.PutSuspension(bg, su); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A damaged file of suspensions is reported and saved. The suspensions in the other
// lines stay, and the next Open finds no damage.
func TestDamagedSuspensions(t *testing.T) {
	for name, damage := range map[string]struct {
		change func(b []byte) []byte
		left   int
	}{
		"a byte of the count": {func(b []byte) []byte { b[10] ^= 1; return b }, 3},
		"a byte of a line":    {func(b []byte) []byte { b[len(b)-10] ^= 1; return b }, 2},
		"torn":                {func(b []byte) []byte { return b[:len(b)-5] }, 2},
		"a line is missing":   {func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }, 2},
		"empty":               {func(b []byte) []byte { return nil }, 0},
		"zeros":               {func(b []byte) []byte { return make([]byte, len(b)) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := threeSuspensions(t)
			path := filepath.Join(dir, suspensionsName)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage.change(b)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			s := openTest(t, dir)
			all, err := s.Suspensions(bg)
			if len(all) != damage.left || err != nil {
				t.Errorf("%+v, %v; want %d", all, err, damage.left)
			}
			d := s.Recovery().Damaged
			if len(d) != 1 || d[0].Segment != path || !strings.Contains(d[0].Err.Error(), "their mail may be delivered") {
				t.Fatalf("%+v", d)
			}
			if saved, err := os.ReadFile(d[0].Saved); err != nil || !bytes.Equal(saved, damaged) {
				t.Errorf("saved %q, %v", saved, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openTest(t, dir)
			defer s.Close()
			all, err = s.Suspensions(bg)
			if d := s.Recovery().Damaged; len(all) != damage.left || err != nil || len(d) != 0 {
				t.Errorf("the second time: %+v, %v, %+v", all, err, d)
			}
		})
	}
}

// Inspect reads the suspensions and changes nothing.
func TestInspectSuspensions(t *testing.T) {
	dir := threeSuspensions(t)
	path := filepath.Join(dir, suspensionsName)
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if d := v.Recovery().Damaged; len(d) != 1 || d[0].Segment != path {
		t.Errorf("%+v", d)
	}
	if b, err := os.ReadFile(path); string(b) != "damaged" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// Before the first suspension is written, the spool has a segment on stable storage
// whose version a program without suspensions refuses.
func TestSuspensionsNeedTheVersion(t *testing.T) {
	dir := unpack(t, "version3.tar.gz")
	s := openTest(t, dir)
	if v := versionOf(t, newestSegment(t, dir)); v != version {
		t.Errorf("the newest segment has version %d", v)
	}
	if err := errors.Join(s.PutSuspension(bg, queue.Suspension{Domain: "example.net", Since: time.Unix(1e9, 0)}), s.Close()); err != nil {
		t.Fatal(err)
	}
	if v := versionOf(t, newestSegment(t, dir)); v != version {
		t.Errorf("the newest segment has version %d", v)
	}
}

// If the disk fails during a change, the suspensions are as before, and the next
// change succeeds. Without suspensions there is no file, and the last one can be
// removed when the disk is full.
func TestSuspensionsOnABrokenDisk(t *testing.T) {
	first := queue.Suspension{Domain: "example.net", Since: time.Unix(1e9, 0)}
	second := queue.Suspension{Domain: "example.org", Since: time.Unix(1e9, 0)}
	errDisk := errors.New("I/O error")
	for _, fails := range []string{"open", "write", "sync", "rename", "syncdir"} {
		t.Run(fails, func(t *testing.T) {
			disk := newSimFS(1)
			s, err := Open("spool", &Options{SegmentSize: 64 << 10, FileSystem: disk})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.PutSuspension(bg, first); err != nil {
				t.Fatal(err)
			}
			failed := false
			fail := func(f func(call int, op, name string) error) {
				disk.Lock()
				defer disk.Unlock()
				disk.Fail = f
			}
			fail(func(call int, op, name string) error {
				if op == fails && !strings.Contains(name, "log") {
					failed = true
					return errDisk
				}
				return nil
			})
			if err := s.PutSuspension(bg, second); !errors.Is(err, errDisk) || !failed {
				t.Fatalf("%v, failed %v", err, failed)
			}
			if all, err := s.Suspensions(bg); len(all) != 1 || all[0].Domain != first.Domain || err != nil {
				t.Errorf("%+v, %v", all, err)
			}
			fail(nil)
			if err := s.PutSuspension(bg, second); err != nil {
				t.Error(err)
			}
			if err := s.RemoveSuspension(bg, second); err != nil {
				t.Error(err)
			}
			fail(func(call int, op, name string) error {
				if op == "open" || op == "write" {
					return queue.ErrFull
				}
				return nil
			})
			if err := s.RemoveSuspension(bg, first); err != nil {
				t.Errorf("on a full disk: %v", err)
			}
			fail(nil)
			if all, err := s.Suspensions(bg); len(all) != 0 || err != nil {
				t.Errorf("%+v, %v", all, err)
			}
		})
	}
}

// FuzzParseSuspensions parses any bytes. What it returns can be written and read again.
func FuzzParseSuspensions(f *testing.F) {
	s := queue.Suspension{Hop: queue.NextHop{Connector: "out", Destination: "ex\xffample"}, Reason: "\"quoted\"\n", By: "alice", Since: time.Unix(1e9, 5).UTC()}
	f.Add(string(encodeSuspensions(map[suspended]queue.Suspension{suspendedBy(&s): s})))
	f.Add(string(encodeSuspensions(nil)))
	f.Add("")
	f.Add("00000000 \"")
	f.Fuzz(func(t *testing.T, b string) {
		list, problem := parseSuspensions(b)
		again, err := parseSuspensions(string(encodeSuspensions(list)))
		if err != nil || len(again) != len(list) {
			t.Errorf("%+v became %+v, %v (%v)", list, again, err, problem)
		}
		for key, s := range list {
			if a := again[key]; !a.Since.Equal(s.Since) || !a.Until.Equal(s.Until) || a.Reason != s.Reason || a.By != s.By {
				t.Errorf("%+v became %+v", s, a)
			}
		}
	})
}
