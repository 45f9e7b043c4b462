package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A full disk takes part of a line or of a header. Files removes both, and leaves
// no empty files.
func TestFilesOnFullDisk(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 8)
	if !ok {
		return
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Files{Dir: dir, Prefix: "RECV", Header: "#head\n"}
	line := strings.Repeat("x", 999) + "\n"
	for range 4 {
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // 90 bytes are left
		if n, err := f.Write([]byte(line)); !errors.Is(err, syscall.ENOSPC) || n != 0 {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := f.Validate(); err != nil { // a full disk is not a wrong setting
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, entry(t, dir))); err != nil || string(got) != f.Header+strings.Repeat(line, 4) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	f.Close()
	f = &Files{Dir: dir, Prefix: "SEND", Header: line}
	for range 10 {
		if _, err := f.Write([]byte(line)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	entry(t, dir) // only the ballast and the first file
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("goes on\n")); err != nil {
		t.Error(err)
	}
	f.Close()
}

// entry returns the only file except the ballast.
func entry(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	return entries[0].Name()
}
