package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// leftJournal copies the journal of an open Store. The copy is what the process would
// leave if it died now.
func leftJournal(t *testing.T, s *Store) string {
	t.Helper()
	b, err := os.ReadFile(s.opts.Journal)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "left")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func putPlain(t *testing.T, s *Store, id string) {
	t.Helper()
	if err := s.Put(t.Context(), plainMessage(id, 10), queue.Schedule{}); err != nil {
		t.Fatal(err)
	}
}

func wantInterrupted(t *testing.T, s *Store, want map[string]int) {
	t.Helper()
	for id, n := range want {
		if m, err := s.Get(t.Context(), id); err != nil || m.Interrupted != n {
			t.Errorf("%s: interrupted %d times, %v, want %d", id, m.Interrupted, err, n)
		}
	}
}

// A node dies while it delivers messages. When it comes back, another node has one of them
// already, and records it afterwards. The interruption is not lost.
func TestJournal(t *testing.T) {
	url, now := pgtest.Database(t), time.Now()
	a := open(t, url, &Options{Node: "a", Journal: filepath.Join(t.TempDir(), "journal")})
	b := open(t, url, &Options{Node: "b"})
	claim := func(s *Store, id string) *queue.Message {
		t.Helper()
		ms, err := s.Claim(t.Context(), queue.Claim{Owner: "q", Now: now, Until: now.Add(time.Hour), Max: 1, ID: id})
		if err != nil || len(ms) != 1 {
			t.Fatalf("Claim of %s: %d, %v", id, len(ms), err)
		}
		return ms[0]
	}
	release := func(s *Store, m *queue.Message) {
		t.Helper()
		if err := s.Update(t.Context(), "q", m, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"taken", "waits", "delivered", "removed", "again"} {
		putPlain(t, a, id)
		release(a, claim(a, id)) // the lease of another message with this ID has a lower number
		claim(a, id)
		a.Begin(id)
	}
	a.End("delivered")
	left := leftJournal(t, a)

	for _, id := range []string{"taken", "waits", "delivered", "again"} {
		m, _ := a.Get(t.Context(), id)
		release(a, m)
	}
	for _, id := range []string{"removed", "again"} {
		if id == "again" {
			claim(a, id)
		}
		if err := a.Remove(t.Context(), "q", id); err != nil {
			t.Fatal(err)
		}
	}
	putPlain(t, a, "again")
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken := claim(b, "taken")

	a2 := open(t, url, &Options{Node: "a", Journal: left})
	want := map[string]int{"taken": 1, "waits": 1, "delivered": 0, "again": 0}
	wantInterrupted(t, b, want)
	taken.Recipients[0].Attempts = 1
	release(b, taken)
	wantInterrupted(t, b, want)

	m := claim(a2, "taken")
	if m.Interrupted != 1 || m.Recipients[0].Attempts != 1 {
		t.Errorf("Claim: interrupted %d times, %d attempts", m.Interrupted, m.Recipients[0].Attempts)
	}
	a2.Begin("taken")
	left = leftJournal(t, a2)
	open(t, url, &Options{Node: "a", Journal: left})
	wantInterrupted(t, b, map[string]int{"taken": 2, "waits": 1})
	// The delivery did not kill the process this time. The owner knows of one
	// interruption, and the second is counted after it.
	m.Interrupted = 0
	release(a2, m)
	wantInterrupted(t, a2, map[string]int{"taken": 1})
}

// The process dies again, or the answer is lost, before the journal is cleared. The
// interruptions are counted once.
func TestJournalCountsOnce(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, &Options{Node: "a", Journal: filepath.Join(t.TempDir(), "journal")})
	putPlain(t, s, "m")
	s.Begin("m")
	first, second := leftJournal(t, s), leftJournal(t, s)
	for _, name := range []string{first, second} {
		if err := open(t, url, &Options{Node: "b", Journal: name}).Close(); err != nil {
			t.Fatal(err)
		}
		wantInterrupted(t, s, map[string]int{"m": 1})
	}
	// After an orderly end nothing is left.
	if err := open(t, url, &Options{Node: "b", Journal: first}).Close(); err != nil {
		t.Fatal(err)
	}
	wantInterrupted(t, s, map[string]int{"m": 1})
}

// Open refuses a file that is not a journal, and does not change it.
func TestJournalFile(t *testing.T) {
	const nowhere = "postgres://relay@/mail?host=/does/not/exist" // the file is looked at first
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	url := pgtest.Database(t)
	s := open(t, url, &Options{Node: "a", Journal: filepath.Join(dir, "journal")})
	putPlain(t, s, "m")
	whole, err := os.ReadFile(s.opts.Journal)
	if err != nil {
		t.Fatal(err)
	}
	later := slices.Clone(whole)
	copy(later, "bridgehead deliveries 2\n")
	for _, tc := range []struct{ name, err string }{
		{s.opts.Journal, "locked by another process"},
		{write("text", []byte("root:x:0:0:root:/root:/bin/sh\n")), "is not a journal"},
		{write("short", []byte("x")), "is not a journal"},
		{write("later", later), "another version"},
		{dir, "directory"},
		{filepath.Join(dir, "none", "journal"), "no such file"},
		{os.DevNull, "not a regular file"},
	} {
		before, _ := os.ReadFile(tc.name)
		_, err := Open(t.Context(), nowhere, &Options{Node: "b", Journal: tc.name})
		if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), tc.name) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.err)
		}
		if after, _ := os.ReadFile(tc.name); !bytes.Equal(before, after) {
			t.Errorf("%s is changed", tc.name)
		}
	}
	damaged := slices.Clone(whole)
	damaged[journalHeader-1]++
	for name, b := range map[string][]byte{
		"empty": nil, "zeros": make([]byte, 100), "cut": whole[:journalHeader+10], "damaged": damaged,
		"longer": append(slices.Clone(whole), "more"...),
	} {
		s := open(t, url, &Options{Node: "b", Journal: write(name, b)})
		s.Begin("m")
		b, err := os.ReadFile(s.opts.Journal)
		if c, readErr := readJournal(b); err != nil || readErr != nil || !slices.Equal(c.ids, []string{"m"}) {
			t.Errorf("%s: then the file has %v, %v, %v", name, c.ids, err, readErr)
		}
		s.Close()
	}
}

// FuzzJournal reads damaged journals. What is read is what a process has written.
func FuzzJournal(f *testing.F) {
	var b []byte
	b = append(b, journalHead(math.MaxInt64)...)
	for i, id := range []string{"", "m1", strings.Repeat("x", journalMaxID)} {
		var e [journalEntry]byte
		if id != "" {
			writeEntry(&e, id, int64(i))
		}
		b = append(b, e[:]...)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(b[:journalHeader-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readJournal(b)
		if len(c.ids) != len(c.leases) || len(c.ids) > len(b)/journalEntry {
			t.Fatalf("%d IDs and %d leases in %d bytes", len(c.ids), len(c.leases), len(b))
		}
		if (err != nil || c.damaged) && len(c.ids) > 0 {
			t.Fatalf("%v, damaged %t, and %d IDs", err, c.damaged, len(c.ids))
		}
		again := journalHead(c.generation)
		for i, id := range c.ids {
			var e [journalEntry]byte
			writeEntry(&e, id, c.leases[i])
			if !bytes.Contains(b, binary.LittleEndian.AppendUint64(nil, uint64(c.leases[i]))) || !bytes.Contains(b, []byte(id)) {
				t.Fatalf("entry %q, %d is not in the file", id, c.leases[i])
			}
			again = append(again, e[:]...)
		}
		if c2, err := readJournal(again); err != nil || fmt.Sprint(c2.ids, c2.leases) != fmt.Sprint(c.ids, c.leases) {
			t.Fatalf("written again, it has %v %v, %v", c2.ids, c2.leases, err)
		}
	})
}

// BenchmarkJournal measures what the journal adds to a delivery.
func BenchmarkJournal(b *testing.B) {
	s := open(b, pgtest.Database(b), &Options{Journal: filepath.Join(b.TempDir(), "journal")})
	for b.Loop() {
		s.Begin("m1")
		s.End("m1")
	}
}
