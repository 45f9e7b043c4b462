package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	for _, s := range []string{"first", "second"} {
		if placed, err := WriteFile(name, 0o640, text(s)); err != nil || !placed {
			t.Fatal(placed, err)
		}
		b, err := os.ReadFile(name)
		if err != nil || string(b) != s {
			t.Errorf("%q, %v; want %q", b, err, s)
		}
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if n := names(t, dir); len(n) != 1 {
		t.Errorf("the folder has %q", n)
	}
}

// After a failed write there is no partial file, and the previous file is unchanged.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if _, err := WriteFile(name, 0o600, text("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	placed, err := WriteFile(name, 0o600, func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return broken
	})
	if placed || !errors.Is(err, broken) {
		t.Errorf("placed %v, %v", placed, err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
	if n := names(t, dir); len(n) != 1 {
		t.Errorf("the folder has %q", n)
	}
	// A file cannot replace a folder of the same name.
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if placed, err := WriteFile(filepath.Join(dir, "folder"), 0o600, text("x")); placed || err == nil {
		t.Errorf("placed %v, %v", placed, err)
	}
	if placed, err := WriteFile(filepath.Join(dir, "missing", "a"), 0o600, text("x")); placed || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("placed %v, %v", placed, err)
	}
	if n := names(t, dir); len(n) != 2 {
		t.Errorf("the folder has %q", n)
	}
}
