package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/memdisk"
)

// segmentsSpool makes a closed spool with some segments, without content files. It
// returns the paths of the segments.
func segmentsSpool(t *testing.T) (dir string, segments []string) {
	t.Helper()
	dir = t.TempDir()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := putUntil(t, s, 300); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segments, _ = filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if len(segments) < 6 {
		t.Fatalf("%d segments", len(segments))
	}
	return dir, segments
}

// reopen opens and closes a spool, and returns the result of the recovery.
func reopen(t *testing.T, dir string) Recovery {
	t.Helper()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Recovery()
}

// Open and Inspect report missing segments: the first, one or more in the middle, the
// last, or all. Open reports them once, and does not use their numbers again.
func TestMissingSegment(t *testing.T) {
	for _, tc := range []struct {
		name        string
		first, last int // from the end if negative
		gaps        int
	}{
		{"the first", 0, 0, 1},
		{"one in the middle", 2, 2, 1},
		{"two in the middle", 2, 3, 1},
		{"the last", -1, -1, 1},
		{"all", 0, -1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, segments := segmentsSpool(t)
			n := len(segments)
			gone := segments[(tc.first+n)%n : (tc.last+n)%n+1]
			for _, path := range gone {
				if err := os.Rename(path, filepath.Join(t.TempDir(), filepath.Base(path))); err != nil {
					t.Fatal(err)
				}
			}
			v, err := Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			seen := v.Recovery().Damaged
			v.Close()
			found := reopen(t, dir).Damaged
			if len(found) != tc.gaps || found[0].Segment != gone[0] || !strings.Contains(found[0].Err.Error(), "missing") {
				t.Fatalf("reported %+v, want that %v are missing", found, gone)
			}
			if len(gone) > 1 && !strings.Contains(found[0].Err.Error(), filepath.Base(gone[len(gone)-1])) {
				t.Errorf("%v does not name %s", found[0].Err, gone[len(gone)-1])
			}
			if !reflect.DeepEqual(seen, found) {
				t.Errorf("Inspect reports %+v, Open %+v", seen, found)
			}
			if again := reopen(t, dir).Damaged; len(again) != 0 {
				t.Errorf("reported again: %+v", again)
			}
			now, _ := filepath.Glob(filepath.Join(dir, "log", "*.log"))
			for _, path := range gone {
				if slices.Contains(now, path) {
					t.Errorf("%s was created again", path)
				}
			}
		})
	}
}

// The content files of a missing segment are kept, however old they are.
func TestMissingSegmentKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(bg, testMessage("large", trialContent("large", 9000)), forever); err != nil {
		t.Fatal(err)
	}
	if _, err := putUntil(t, s, 100); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.Remove(filepath.Join(dir, "log", segmentName(1))); err != nil {
		t.Fatal(err)
	}
	if r := reopen(t, dir); r.Swept != 1 || len(r.Damaged) != 1 {
		t.Errorf("%+v", r)
	}
	if kept, _ := os.ReadDir(filepath.Join(dir, "damaged")); len(kept) != 1 {
		t.Errorf("%d content files were kept", len(kept))
	}
}

// Without a whole list of this spool nothing is reported, and Open makes one. Spools of
// earlier programs have none.
func TestSegmentListIsDamaged(t *testing.T) {
	other, _ := segmentsSpool(t)
	for _, tc := range []struct {
		name   string
		damage func(path string) error
	}{
		{"none", os.Remove},
		{"empty", func(path string) error { return os.Truncate(path, 0) }},
		{"cut", func(path string) error { return os.Truncate(path, listHeaderLen+6) }},
		{"torn", func(path string) error {
			b, err := os.ReadFile(path)
			b[listHeaderLen]++
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		}},
		{"of another spool", func(path string) error {
			b, err := os.ReadFile(filepath.Join(other, "log", listName))
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, segments := segmentsSpool(t)
			if err := errors.Join(os.Remove(segments[1]), tc.damage(filepath.Join(dir, "log", listName))); err != nil {
				t.Fatal(err)
			}
			if found := reopen(t, dir).Damaged; len(found) != 0 {
				t.Errorf("reported %+v", found)
			}
			if err := os.Remove(segments[3]); err != nil {
				t.Fatal(err)
			}
			if found := reopen(t, dir).Damaged; len(found) != 1 || found[0].Segment != segments[3] {
				t.Errorf("reported %+v, want %s", found, segments[3])
			}
		})
	}
}

// A new segment costs one sync of the list, and so does a deleted one. A commit costs
// none.
func TestSegmentListSyncs(t *testing.T) {
	d := newSimFS(1)
	syncs := 0
	d.Fail = func(_ int, op, name string) error {
		if op == "sync" && filepath.Base(name) == listName {
			syncs++
		}
		return nil
	}
	s := openSim(t, d)
	n, err := putUntil(t, s, 500)
	if err != nil {
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
	st := s.Stats()
	d.Lock()
	defer d.Unlock()
	begun := int(s.log.newest().number)
	if most := begun + int(st.Deleted) + 1; syncs > most || syncs < begun {
		t.Errorf("%d syncs of the list for %d new segments and %d deleted ones", syncs, begun, st.Deleted)
	}
}

// Where the list cannot be written, segments are deleted as before, and the list is
// deleted first: no segment is reported later.
func TestSegmentListCannotBeWritten(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		d := newSimFS(1)
		s := openSim(t, d)
		if _, err := putUntil(t, s, 300); err != nil {
			t.Fatal(err)
		}
		d.Lock()
		d.Fail = func(_ int, o, name string) error {
			if o == op && filepath.Base(name) == listName {
				return syscall.EIO
			}
			return nil
		}
		d.Unlock()
		for i := range 300 {
			if err := s.Remove(bg, "me", fmt.Sprintf("m%04d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
		s.tidy()
		if n := s.Stats().Segments; n > 2 {
			t.Errorf("%s fails: %d segments are left", op, n)
		}
		for _, power := range []bool{false, true} {
			d = crash(s, d, power)
			s = openSim(t, d)
			if found := s.Recovery().Damaged; len(found) != 0 {
				t.Errorf("%s fails, power %v: reported %+v", op, power, found)
			}
		}
	}
}

// Inspect reads the spool of a running relay, which begins and deletes segments at the
// same time. It reports no segment as missing.
func TestInspectWhileSegmentsChange(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		s.Close()
	}()
	stop := make(chan struct{})
	defer close(stop)
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			id := fmt.Sprintf("m%d", i)
			if err := errors.Join(s.Put(bg, testMessage(id, trialContent(id, 10<<10)), forever), s.Remove(bg, "me", id)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for seen := 0; seen < 30; {
		v, err := Inspect(dir)
		if errors.Is(err, os.ErrNotExist) { // three times a segment was deleted while Inspect read the names
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		for _, d := range v.Recovery().Damaged {
			if strings.Contains(d.Err.Error(), "missing") {
				t.Errorf("reported %+v", d)
			}
		}
		v.Close()
		seen++
	}
}

// A list keeps the numbers as runs. It can be decoded again, and has the newest runs if
// there are too many.
func TestSegmentListRuns(t *testing.T) {
	d := newSimFS(1)
	l := &segmentList{fs: d, dir: "log", logger: testLogger(t)}
	l.start(key{1}, []uint32{2, 3, 4, 7})
	l.add(8)
	l.add(10)
	for _, n := range []uint32{3, 8, 10, 5} {
		if err := l.remove(n); err != nil {
			t.Fatal(err)
		}
	}
	want := []run{{2, 2}, {4, 4}, {7, 7}}
	if got, ok := readList(d, l.path()); !ok || got.key != (key{1}) || !slices.Equal(got.runs, want) {
		t.Errorf("the list is %v, %v, want %v", got, ok, want)
	}
	var many []run
	for n := range uint32(maxRuns + 10) {
		many = append(many, run{2*n + 1, 2*n + 1})
	}
	b := encodeList(key{1}, many)
	if got, ok := parseList(b); !ok || len(b) > listSize || !slices.Equal(got.runs, many[10:]) {
		t.Errorf("a list of %d runs has %d bytes and %d runs, %v", len(many), len(b), len(got.runs), ok)
	}
}

// missing finds the numbers of a list that do not exist.
func TestSegmentListMissing(t *testing.T) {
	l := storedList{runs: []run{{2, 5}, {8, 8}, {10, 1<<32 - 1}}}
	for _, tc := range []struct {
		have []uint32
		last uint32
		want []run
	}{
		{[]uint32{2, 3, 4, 5, 8, 10, 11, 12}, 12, nil},
		{[]uint32{1, 2, 3, 4, 5, 6, 8, 10, 13}, 10, nil},
		{[]uint32{3, 5, 8, 10}, 10, []run{{2, 2}, {4, 4}}},
		{[]uint32{2, 9, 11}, 12, []run{{3, 5}, {8, 8}, {10, 10}, {12, 12}}},
		{nil, 9, []run{{2, 5}, {8, 8}}},
		{[]uint32{2, 3, 4, 5, 8, 1<<32 - 1}, 1<<32 - 1, []run{{10, 1<<32 - 2}}},
	} {
		if got := l.missing(tc.have, tc.last); !slices.Equal(got, tc.want) {
			t.Errorf("of %v up to %d are missing %v, want %v", tc.have, tc.last, got, tc.want)
		}
	}
}

// The process dies, or the power fails, at each call to the disk while segments are begun
// and deleted. No segment is reported, and each segment that exists is in the list after
// the next Open.
func TestSegmentListCrashes(t *testing.T) {
	use := func(d *simFS) {
		s, err := open("spool", &Options{SegmentSize: 64 << 10}, d)
		if err != nil {
			return
		}
		defer s.Close()
		for i := range 24 {
			id := fmt.Sprintf("m%d", i)
			if s.Put(bg, testMessage(id, trialContent(id, 10<<10)), forever) != nil {
				return
			}
			if i != 20 {
				s.Remove(bg, "me", id)
			}
			if i%6 == 5 {
				s.Sync(bg)
				s.tidy()
			}
		}
	}
	whole := newSimFS(1)
	use(whole)
	if whole.Calls < 100 {
		t.Fatalf("only %d calls", whole.Calls)
	}
	for last := 1; last <= whole.Calls; last++ {
		for _, power := range []bool{false, true} {
			d := newSimFS(uint64(last))
			d.Fail = func(call int, op, name string) error {
				if call > last {
					return memdisk.ErrDied
				}
				return nil
			}
			use(d)
			if power {
				d = d.PowerFails()
			} else {
				d = d.ProcessDies()
			}
			s := openSim(t, d)
			if found := s.Recovery().Damaged; len(found) != 0 {
				t.Fatalf("died after call %d, power failure %v: reported %+v\n%s", last, power, found, d.List())
			}
			s.Close()
			numbers, err := s.log.list()
			if err != nil {
				t.Fatal(err)
			}
			names := &segmentList{logger: testLogger(t)}
			for _, n := range numbers {
				names.append(n)
			}
			if got, ok := readList(d, s.log.names.path()); !ok || !slices.Equal(got.runs, names.runs) {
				t.Fatalf("died after call %d, power failure %v: the list is %v, want %v", last, power, got.runs, names.runs)
			}
		}
	}
}
