package spool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestCompact leaves a few messages in every segment. Compaction moves them with
// their labels and newest states, and the segments are deleted. Removed messages do not come
// back.
func TestCompact(t *testing.T) {
	d := newSimFS(7)
	s := openSim(t, d)
	s.log.mu.Lock()
	s.log.compactAge = 0
	s.log.mu.Unlock()
	const n = 600
	for i := range n {
		id := fmt.Sprintf("m%04d", i)
		m := testMessage(id, trialContent(id, 1000))
		m.Options.SetLabel("campaign", id)
		if err := s.Put(bg, m, forever); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%20 == 0: // stays unchanged
		case i%20 == 10: // stays, with a new state
			m.Recipients[0].Attempts = i
			if err := s.Update(bg, "me", m, forever); err != nil {
				t.Fatal(err)
			}
		default:
			if err := s.Remove(bg, "me", id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	for range 30 { // housekeeping does the same at the same time
		s.tidy()
	}
	st := s.Stats()
	// 60 messages of a little more than 1 KiB are left, in segments of 64 KiB that
	// are at least a quarter full, and in the active segment.
	if st.Segments > 5 || st.Moved == 0 {
		t.Errorf("%d segments are left for %d live bytes: %+v", st.Segments, st.Live, st)
	}
	check := func(s *Spool) {
		t.Helper()
		if got := s.Stats().Messages; got != n/10 {
			t.Errorf("%d messages, want %d", got, n/10)
		}
		for i := 0; i < n; i += 10 {
			id := fmt.Sprintf("m%04d", i)
			m, err := s.Get(bg, id)
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			want := 0
			if i%20 == 10 {
				want = i
			}
			if m.Options.Labels["campaign"] != id || m.Recipients[0].Attempts != want || text(t, m.Content) != text(t, trialContent(id, 1000)) {
				t.Errorf("%s has %d attempts, want %d, and the labels %v", id, m.Recipients[0].Attempts, want, m.Options.Labels)
			}
		}
	}
	check(s)
	disk := d.PowerFails()
	s.Close()
	check(openSim(t, disk))
}

// TestWriteAmplification simulates a relay: most mail is delivered at once, some of
// it late. It compares the bytes that compaction writes, and the length of the log,
// with the documented limits.
func TestWriteAmplification(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	d := newSimFS(7)
	s := openSim(t, d)
	s.log.mu.Lock()
	s.log.compactAge = 0
	s.log.mu.Unlock()
	var late []string
	most := 0.0
	for i := range 20000 {
		id := fmt.Sprintf("m%05d", i)
		if err := s.Put(bg, testMessage(id, trialContent(id, 500)), forever); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(10) == 0 {
			late = append(late, id)
		} else if err := s.Remove(bg, "me", id); err != nil {
			t.Fatal(err)
		}
		for len(late) > 500 {
			k := rnd.IntN(len(late))
			if err := s.Remove(bg, "me", late[k]); err != nil {
				t.Fatal(err)
			}
			late = append(late[:k], late[k+1:]...)
		}
		if i%100 == 0 {
			s.tidy()
			st := s.Stats()
			if i > 5000 {
				most = max(most, float64(st.Segments*64<<10)/float64(st.Live+3*64<<10))
			}
		}
	}
	st := s.Stats()
	amplification := float64(st.Written) / float64(st.Written-st.Moved)
	t.Logf("written %d bytes, of them moved %d: amplification %.3f; the log is at most %.2f times the needed bytes and three segments",
		st.Written, st.Moved, amplification, most)
	if amplification > 4.0/3 {
		t.Errorf("write amplification %.3f, the limit is 4/3", amplification)
	}
	if most > 4 {
		t.Errorf("the log is %.2f times as long as the needed bytes, the limit is 4", most)
	}
}

// A volatile schedule is not written.
func TestVolatileNotWritten(t *testing.T) {
	s := openTest(t, t.TempDir())
	m := testMessage("m1", trialContent("m1", 100))
	if err := s.Put(bg, m, forever); err != nil {
		t.Fatal(err)
	}
	before := s.Stats()
	for i := range 10 {
		sch := forever
		sch.Volatile, sch.Due = true, time.Unix(1e9+int64(i), 0)
		if err := s.Update(bg, "me", m, sch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	if after := s.Stats(); after.Records != before.Records {
		t.Errorf("%d records were written", after.Records-before.Records)
	}
}

// A disposition is written without a Sync or a Put.
func TestDispositionsByTimer(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.Put(bg, testMessage("m1", nil), forever); err != nil {
		t.Fatal(err)
	}
	path := s.log.active.path
	if err := s.Remove(bg, "me", "m1"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for { // the removal is in the file before the sync
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := scanBytes(b, s.log.active.salt, -1).found; len(found) == 2 && found[1].kind == kindRemoval {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the removal is not written")
		}
	}
	t.Logf("written after %v", time.Since(begin))
}

// TestDeadSegmentsDeleted puts and removes many segments of messages.
func TestDeadSegmentsDeleted(t *testing.T) {
	s := openTest(t, t.TempDir())
	for i := range 200 {
		id := fmt.Sprintf("m%d", i)
		if err := s.Put(bg, testMessage(id, trialContent(id, 100<<10)), forever); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(bg, "me", id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	s.tidy()
	es, err := os.ReadDir(filepath.Join(s.dir, "log"))
	if err != nil || len(es) > 3 { // the active segment, the spare and the list
		t.Errorf("%d files are left, %v", len(es), err)
	}
	if st := s.Stats(); st.Live != 0 {
		t.Errorf("%d bytes are needed in an empty spool", st.Live)
	}
}

// When one sync of the log fails, no caller gets an error. The segment is emptied,
// although nearly all of it is needed.
func TestSyncFails(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	if _, err := putUntil(t, s, 20); err != nil {
		t.Fatal(err)
	}
	d.Lock()
	var failed string
	d.Fail = func(_ int, op, name string) error {
		if op == "sync" && failed == "" {
			failed = name
			return syscall.EIO
		}
		return nil
	}
	d.Unlock()
	if err := s.Put(bg, testMessage("new", trialContent("new", 100)), forever); err != nil {
		t.Fatalf("Put: %v", err)
	}
	for range 2 { // empty the segment, and delete it
		s.tidy()
	}
	d.Lock()
	there := d.Names[failed] != nil
	d.Unlock()
	if st := s.Stats(); failed == "" || there || st.Segments != 1 || st.Messages != 21 {
		t.Errorf("segment %q, still there: %v; %+v", failed, there, st)
	}
	disk := d.PowerFails()
	s.Close()
	after := openSim(t, disk)
	for i := range 20 {
		id := fmt.Sprintf("m%04d", i)
		if m, err := after.Get(bg, id); err != nil || text(t, m.Content) != text(t, trialContent(id, 1000)) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// Compaction of a large segment holds a small part of it in memory.
func TestCompactMemory(t *testing.T) {
	const size = 32 << 20
	s, err := Open(t.TempDir(), &Options{SegmentSize: size, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range size / (200 << 10) {
		id := fmt.Sprintf("m%d", i)
		if err := s.Put(bg, testMessage(id, trialContent(id, 200<<10)), forever); err != nil {
			t.Fatal(err)
		}
	}
	g := s.log.segments[1]
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sc := newScanner(g.file, g.capacity, g.salt)
	n := 0
	sc.record = func(f found) { n += len(sc.at(f.off, f.size())) }
	sc.damage = func(gap) {}
	sc.scan(g.end, g.end)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; n < size/2 || got > 2*windowSize {
		t.Errorf("the scan of %d bytes of records allocates %d bytes", n, got)
	}
}
