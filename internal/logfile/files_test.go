package logfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFilesRotateBySizeAndDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time begins at midnight UTC, 2000-01-01
		f := &Files{Dir: filepath.Join(t.TempDir(), "logs"), Prefix: "RECV", Header: "#head\n", MaxSize: 26}
		write := func(s string) {
			t.Helper()
			if _, err := f.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		write("0123456789\n")
		write("second\n")  // fits: 6+11+7 bytes
		write("overflo\n") // does not
		time.Sleep(24 * time.Hour)
		write("tomorrow\n")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"RECV20000101-1.log": "#head\n0123456789\nsecond\n",
			"RECV20000101-2.log": "#head\noverflo\n",
			"RECV20000102-1.log": "#head\ntomorrow\n",
		} {
			got, err := os.ReadFile(filepath.Join(f.Dir, name))
			if err != nil || string(got) != want {
				t.Errorf("%s: %q, %v, want %q", name, got, err, want)
			}
		}
		if _, err := f.Write([]byte("late\n")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	})
}

func TestFilesRemoveOldFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, size int, age time.Duration) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	put("RECV20200101-1.log", 10, 40*24*time.Hour) // too old
	put("RECV20200102-1.log", 600, 3*time.Hour)    // the oldest, while all files are too large
	put("RECV20200103-1.log", 600, 2*time.Hour)
	put("SEND20200101-1.log", 10, 40*24*time.Hour) // another prefix
	put("RECV-notes.log", 10, 40*24*time.Hour)     // not a name of a log
	f := &Files{Dir: dir, Prefix: "RECV", MaxDir: 1000}
	fmt.Fprintln(f, "hello")
	f.Close()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	today := "RECV" + time.Now().UTC().Format("20060102") + "-1.log"
	want := []string{"RECV-notes.log", "RECV20200103-1.log", today, "SEND20200101-1.log"}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("left: %q, want %q", names, want)
	}
}

func TestFilesWithoutADir(t *testing.T) {
	f := &Files{}
	if _, err := f.Write([]byte("x\n")); err == nil || err.Error() != "log: Dir is not set" {
		t.Errorf("got %v", err)
	}
}

// Private files and their new folder are only accessible to the owner.
func TestFilesPrivate(t *testing.T) {
	for private, want := range map[bool][2]os.FileMode{false: {0o750, 0o640}, true: {0o700, 0o600}} {
		f := &Files{Dir: filepath.Join(t.TempDir(), "logs"), Prefix: "X", Suffix: ".csv", Private: private}
		fmt.Fprintln(f, "hello")
		f.Close()
		names, err := filepath.Glob(filepath.Join(f.Dir, "X*-1.csv"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		for i, name := range []string{f.Dir, names[0]} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm()&^want[i] != 0 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	}
}

// Another program may rename, remove or truncate the current file, as logrotate does.
// The lines after that are in a file that has its usual name and a header.
func TestFilesThatOthersRotate(t *testing.T) {
	for name, rotate := range map[string]func(path string) error{
		"rename":   func(path string) error { return os.Rename(path, path+".1") },
		"remove":   os.Remove,
		"truncate": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				f := &Files{Dir: dir, Prefix: "LOG", Header: "#header\n"}
				defer f.Close()
				write := func(line string) {
					if _, err := f.Write([]byte(line)); err != nil {
						t.Fatal(err)
					}
				}
				write("first\n")
				first := f.file.Name()
				if err := rotate(first); err != nil {
					t.Fatal(err)
				}
				time.Sleep(lookInterval)
				write("second\n")
				write("third\n")
				text, err := os.ReadFile(f.file.Name())
				if err != nil || string(text) != "#header\nsecond\nthird\n" || !f.isLog(filepath.Base(f.file.Name())) {
					t.Errorf("%s: %q, %v", f.file.Name(), text, err)
				}
				if old, err := os.ReadFile(first + ".1"); name == "rename" && (err != nil || string(old) != "#header\nfirst\n") {
					t.Errorf("the renamed file: %q, %v", old, err)
				}
			})
		})
	}
}
