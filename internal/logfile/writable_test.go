package logfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ dir, want string }{
		{dir, ""},
		{filepath.Join(dir, "a", "b"), ""},
		{"", "Dir is not set"},
		{file, "cannot be written"},
		{filepath.Join(file, "a"), "cannot be written"},
		{"/proc/x/y", "cannot be written"},
	} {
		err := (&Files{Dir: tt.dir}).Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.dir, err, tt.want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files left, %v", len(left), err)
	}
}
