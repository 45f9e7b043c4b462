package spool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCompact leaves a few stragglers in every segment: they are moved, with
// their newest states, the segments go, and what was removed stays removed.
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
		if err := s.Put(bg, m, forever); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%20 == 0: // stays, as it is
		case i%20 == 10: // stays, with another state
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
	// 60 messages of a good KiB live: 64 KiB at most a quarter full each, and
	// the active segment.
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
			if m.Recipients[0].Attempts != want || text(t, m.Content) != text(t, trialContent(id, 1000)) {
				t.Errorf("%s has %d attempts, want %d", id, m.Recipients[0].Attempts, want)
			}
		}
	}
	check(s)
	disk := d.powerFails()
	s.Close()
	check(openSim(t, disk))
}

// TestWriteAmplification runs a relay's life in short: most mail leaves at
// once, some of it late. It bounds what compaction writes by what the package
// promises, and the length of the log.
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
	t.Logf("written %d bytes, of them moved %d: amplification %.3f; the log is at most %.2f times what lives and three segments",
		st.Written, st.Moved, amplification, most)
	if amplification > 4.0/3 {
		t.Errorf("write amplification %.3f, promised are 4/3", amplification)
	}
	if most > 4 {
		t.Errorf("the log is %.2f times what lives in it, promised are 4", most)
	}
}

// TestVolatileCostsNothing reschedules without writing.
func TestVolatileCostsNothing(t *testing.T) {
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

// TestDispositionsRide waits for a disposition to become durable by itself.
func TestDispositionsRide(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.Put(bg, testMessage("m1", nil), forever); err != nil {
		t.Fatal(err)
	}
	path := s.log.active.path
	if err := s.Remove(bg, "me", "m1"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for { // the file shows it, the sync comes after that
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := scanSegment(b, s.log.active.salt, -1).found; len(found) == 2 && found[1].kind == kindRemoval {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the removal is not written")
		}
	}
	t.Logf("written after %v", time.Since(begin))
}

// TestDeadSegmentsGo puts and removes much more than a segment holds.
func TestDeadSegmentsGo(t *testing.T) {
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
	if err != nil || len(es) > 2 {
		t.Errorf("%d files are left, %v", len(es), err)
	}
	if st := s.Stats(); st.Live != 0 {
		t.Errorf("%d bytes live in an empty spool", st.Live)
	}
}

// TestSyncFails fails one sync of the log: nobody notices but the log file,
// and the segment is emptied, though nearly all of it is needed.
func TestSyncFails(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	if _, err := putUntil(t, s, 20); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	var failed string
	d.fail = func(_ int, op, name string) error {
		if op == "sync" && failed == "" {
			failed = name
			return syscall.EIO
		}
		return nil
	}
	d.mu.Unlock()
	if err := s.Put(bg, testMessage("new", trialContent("new", 100)), forever); err != nil {
		t.Fatalf("Put: %v", err)
	}
	for range 2 { // to empty it, and to delete it
		s.tidy()
	}
	d.mu.Lock()
	there := d.names[failed] != nil
	d.mu.Unlock()
	if st := s.Stats(); failed == "" || there || st.Segments != 1 || st.Messages != 21 {
		t.Errorf("segment %q, still there: %v; %+v", failed, there, st)
	}
	disk := d.powerFails()
	s.Close()
	after := openSim(t, disk)
	for i := range 20 {
		id := fmt.Sprintf("m%04d", i)
		if m, err := after.Get(bg, id); err != nil || text(t, m.Content) != text(t, trialContent(id, 1000)) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
