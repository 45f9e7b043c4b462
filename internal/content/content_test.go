package content

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func file(t *testing.T, s string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestContentConcatenatesItsParts(t *testing.T) {
	f := file(t, "...body in a file...")
	c := Join(Of([]byte("Received: x\r\n"), nil, []byte("Subject: y\r\n\r\n")), Section(f, 3, 14))
	want := "Received: x\r\nSubject: y\r\n\r\nbody in a file"
	if c.Size() != int64(len(want)) {
		t.Errorf("Size = %d, want %d", c.Size(), len(want))
	}
	if err := iotest.TestReader(c.Reader(), []byte(want)); err != nil {
		t.Error(err)
	}
	for range 2 { // each time from the first byte
		var b bytes.Buffer
		if n, err := c.WriteTo(&b); err != nil || n != c.Size() || b.String() != want {
			t.Errorf("WriteTo = %d, %v: %q", n, err, b.String())
		}
	}
	if c.InMemory() || !c.Slice(0, 13).InMemory() {
		t.Error("InMemory is wrong")
	}
	for off := range want {
		for n := range len(want) - off {
			if got, _ := io.ReadAll(c.Slice(int64(off), int64(n)).Reader()); string(got) != want[off:off+n] {
				t.Fatalf("Slice(%d, %d) = %q, want %q", off, n, got, want[off:off+n])
			}
		}
	}
	if p := c.Parts(); len(p) != 3 || p[2].OSFile() != f {
		t.Errorf("Parts = %v", p)
	}
}

func TestTruncatedFileIsAnError(t *testing.T) {
	c := Section(strings.NewReader("short"), 0, 10)
	if _, err := c.WriteTo(io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("WriteTo: %v", err)
	}
	if _, err := c.ReadAt(make([]byte, 10), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadAt: %v", err)
	}
}

func TestSliceOutsidePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Of([]byte("abc")).Slice(2, 2)
}

// Insert adds texts between, before and after the parts, and shares the rest.
func TestInsert(t *testing.T) {
	c := Of([]byte("one"), []byte("two"))
	texts := []struct {
		at   int64
		text string
	}{{0, "<"}, {2, "-"}, {3, "|"}, {3, "|"}, {6, ">"}}
	got := c.Insert(len(texts), func(i int) (int64, string) { return texts[i].at, texts[i].text })
	var b bytes.Buffer
	got.WriteTo(&b)
	if want := "<on-e||two>"; b.String() != want || got.Size() != int64(len(want)) {
		t.Errorf("got %q, %d bytes, want %q", b.String(), got.Size(), want)
	}
	if c.Size() != 6 {
		t.Errorf("the content itself has now %d bytes", c.Size())
	}
}

// Same compares memory and files, not bytes.
func TestSame(t *testing.T) {
	f := file(t, "0123456789")
	a, b := []byte("abc"), []byte("abc")
	one := Of(a, b)
	for name, c := range map[string]struct {
		a, b *Content
		same bool
	}{
		"itself":           {one, one, true},
		"the same memory":  {one, Join(Of(a), Of(b)), true},
		"equal bytes":      {Of(a), Of(b), false},
		"other parts":      {one, Of(append(append([]byte{}, a...), b...)), false},
		"a part of it":     {Of(a), Of(a[:2]), false},
		"another order":    {Of(a, b), Of(b, a), false},
		"empty":            {Of(), new(Content), true},
		"the same file":    {Section(f, 1, 3), Section(f, 1, 3), true},
		"another place":    {Section(f, 1, 3), Section(f, 2, 3), false},
		"memory and file":  {Of(a), Section(f, 0, 3), false},
		"another reader":   {Section(strings.NewReader("abc"), 0, 3), Section(strings.NewReader("abc"), 0, 3), false},
		"a changing thing": {Section(changing{}, 0, 3), Section(changing{}, 0, 3), false},
	} {
		if c.a.Same(c.b) != c.same || c.b.Same(c.a) != c.same {
			t.Errorf("%s: %v, want %v", name, !c.same, c.same)
		}
	}
}

// changing is a reader of a type that cannot be compared.
type changing []byte

func (changing) ReadAt(b []byte, _ int64) (int, error) { return len(b), nil }
