//go:build unix

package pickup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

const plain = "From: a@example.com\r\nTo: b@example.com\r\n\r\nplain\r\n"

// run runs a folder for some seconds. between is called while the first message is
// submitted: after the folder was read, and before its other files are opened. run
// returns the bodies of the messages.
func run(t *testing.T, dir string, between func()) (bodies []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		f := &Folder{Dir: dir, Submit: func(_ context.Context, m *queue.Message) error {
			var b strings.Builder
			if _, err := m.Content.WriteTo(&b); err != nil {
				t.Error(err)
			}
			_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
			if bodies = append(bodies, body); len(bodies) == 1 && between != nil {
				between()
			}
			return nil
		}}
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return bodies
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// The reason for a bad file is never written through a link, to a file that exists or
// to one that does not. It gets another name, and so does the bad file.
func TestReasonDoesNotFollowLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	victim, absent := filepath.Join(elsewhere, "relay.conf"), filepath.Join(elsewhere, "cron.d")
	write(t, victim, "settings")
	for link, target := range map[string]string{"x.bad.txt": victim, "y.bad.txt": absent, "y-1.bad.txt": victim, "z.bad": victim} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"x.eml", "y.eml", "z.eml"} {
		write(t, filepath.Join(dir, name), "no header\n")
	}
	if got := run(t, dir, nil); len(got) != 0 {
		t.Errorf("submitted %q", got)
	}
	if got := read(t, victim); got != "settings" {
		t.Errorf("a file outside the folder has %q now", got)
	}
	if _, err := os.Lstat(absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made outside the folder: %v", err)
	}
	for _, name := range []string{"x-1.bad", "y-2.bad", "z-1.bad"} {
		if got := read(t, filepath.Join(dir, name)); got != "no header\n" {
			t.Errorf("%s has %q", name, got)
		}
		if got := read(t, filepath.Join(dir, name+".txt")); !strings.Contains(got, "pickup:") {
			t.Errorf("%s.txt has %q", name, got)
		}
	}
}

// A file that is replaced after the folder was read is not read through a link, whether
// its target is outside the folder or inside. A FIFO does not stop the folder. What was
// put in place of the file becomes a bad file, and the files after it are submitted.
func TestReplacedFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "mailbox")
	inside := filepath.Join(dir, "draft")
	for _, name := range []string{secret, inside} {
		write(t, name, strings.Replace(plain, "plain", "private", 1))
	}
	for _, name := range []string{"a.eml", "b.eml", "c.eml", "d.eml", "e.eml", "f.eml"} {
		write(t, filepath.Join(dir, name), plain)
	}
	got := run(t, dir, func() {
		for name, replace := range map[string]func(string) error{
			"b.eml": func(name string) error { return os.Symlink(secret, name) },
			"c.eml": func(name string) error { return os.Symlink("draft", name) },
			"d.eml": func(name string) error { return syscall.Mkfifo(name, 0o600) },
			"e.eml": func(name string) error { return os.Mkdir(name, 0o700) },
		} {
			name = filepath.Join(dir, name)
			if err := errors.Join(os.Remove(name), replace(name)); err != nil {
				t.Error(err)
			}
		}
	})
	if !slices.Equal(got, []string{"plain\r\n", "plain\r\n"}) {
		t.Errorf("submitted %q, want the files a and f", got)
	}
	for _, name := range []string{"b", "c", "d", "e"} {
		if got := read(t, filepath.Join(dir, name+".bad.txt")); got != errNotRegular.Error()+"\n" {
			t.Errorf("%s.bad.txt has %q", name, got)
		}
	}
	if read(t, secret) == "" || read(t, inside) == "" {
		t.Error("the target of a link is gone")
	}
}

// Between the look at the name and the opening, too, a link does not count: openFile
// refuses it itself.
func TestOpenFileRefusesLinks(t *testing.T) {
	name := t.TempDir()
	d, err := openDir(name)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	write(t, filepath.Join(name, "file"), "text")
	for link, target := range map[string]string{"inside": "file", "absolute": filepath.Join(name, "file"), "outside": "/etc/passwd", "nothing": "absent"} {
		if err := os.Symlink(target, filepath.Join(name, link)); err != nil {
			t.Fatal(err)
		}
		if b, err := d.read(link, 1<<20); !errors.Is(err, errNotRegular) {
			t.Errorf("%s: read %q, %v", link, b, err)
		}
		if err := d.create(link, "x"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: create: %v", link, err)
		}
	}
	if b, err := d.read("file", 4); string(b) != "text" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if b, err := d.read("file", 3); err == nil {
		t.Errorf("read %q although the limit is 3 bytes", b)
	}
}

// A folder that is itself reached through a link works: its operator has configured it.
func TestFolderBehindALink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "pickup")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a.eml"), plain)
	if got := run(t, link, nil); len(got) != 1 {
		t.Errorf("submitted %q", got)
	}
}
