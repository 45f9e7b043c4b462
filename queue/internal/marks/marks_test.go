package marks

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFull marks more messages than there are slots. All slots are free at the end.
func TestFull(t *testing.T) {
	s := New(make([]byte, Slots*8), 8, func() error { return nil })
	for i := range Slots + 10 {
		s.Begin(fmt.Sprint(i), []byte("record"))
	}
	for i := range Slots + 10 {
		s.End(fmt.Sprint(i))
	}
	if len(s.free) != Slots || len(s.slots) != 0 {
		t.Errorf("%d slots are free, %d in use", len(s.free), len(s.slots))
	}
	for i, b := range s.mem {
		if b != 0 {
			t.Fatalf("byte %d is still set", i)
		}
	}
}

// TestFile writes marks to a mapped file.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "marks")
	const size = 16
	if err := os.WriteFile(name, make([]byte, Slots*size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, unmap, err := Map(f, Slots*size)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, want ...string) {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if got := string(b[i*size:][:len(w)]); got != w {
				t.Errorf("%s, slot %d: %q, want %q", when, i, got, w)
			}
		}
	}
	free := string(make([]byte, size))
	s := New(mem, size, unmap)
	s.Begin("a", []byte("sixteen bytes: a"))
	s.Begin("b", []byte("record b"))
	s.Begin("b", []byte("again"))
	check("after Begin", "sixteen bytes: a", "record b\x00", free)
	s.End("a")
	s.End("unknown")
	check("after End", free, "record b")
	s.Begin("c", []byte("short"))
	check("in a slot that was used", "short\x00\x00\x00", "record b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check("after Close", free, free, free)
	s.Begin("d", []byte("late"))
	s.End("c")
	check("calls after Close", free, free, free)
}
