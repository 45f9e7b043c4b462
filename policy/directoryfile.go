package policy

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// FileDirectory is a Directory in a text file, one recipient a line, as a
// local part or a whole address; what follows # is a remark. It is read anew
// when the file has changed, at most once in Interval. A new file that cannot
// be read, or has a line that is no address, leaves the former list in force;
// without a former list nobody can be told from somebody, and mail waits.
//
// Replace the file by renaming another over it, so that no half of one is
// ever read.
type FileDirectory struct {
	// Path of the file.
	Path string
	// Interval between looks at the file. Default 5 s.
	Interval time.Duration
	// MaxSize of the file in bytes. Default 256 MiB.
	MaxSize int64
	// Logger is told when the file was read or could not be; nil is silent.
	Logger *slog.Logger

	mu      sync.Mutex // guards what follows
	looked  time.Time
	reading bool // somebody reads a new file, with mu not held
	state   fileState
	failed  error // of the last look
	names   map[string]bool
}

// fileState tells one version of a file from another.
type fileState struct {
	size  int64
	mtime time.Time
	file  fs.FileInfo
}

func (a fileState) same(b fileState) bool {
	return a.file != nil && b.file != nil && a.size == b.size && a.mtime.Equal(b.mtime) && os.SameFile(a.file, b.file)
}

// Exists implements Directory.
func (d *FileDirectory) Exists(_ context.Context, address string) (bool, error) {
	names, err := d.list(time.Now())
	if err != nil {
		return false, err
	}
	return inAddressSet(names, address), nil
}

// Load reads the file now, if it has changed. Called before the server starts
// it tells what is wrong with it.
func (d *FileDirectory) Load() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(time.Now())
	return d.failed
}

// list is the list in force.
func (d *FileDirectory) list(now time.Time) (map[string]bool, error) {
	interval := d.Interval
	setDefault(&interval, 5*time.Second)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.looked.IsZero() || now.Sub(d.looked) >= interval {
		d.look(now)
	}
	if d.names == nil {
		return nil, d.failed
	}
	return d.names, nil
}

// look reads the file if it has changed. Called with mu held. Where there is a
// list already, mu is released meanwhile, and others use that one.
func (d *FileDirectory) look(now time.Time) {
	if d.reading {
		return
	}
	d.looked = now
	before := d.state
	release := d.names != nil
	if release {
		d.reading = true
		d.mu.Unlock()
	}
	names, state, err := d.changed(before)
	if release {
		d.mu.Lock()
		d.reading = false
	}
	switch {
	case err != nil:
		d.failed = fmt.Errorf("policy: directory: %w", err)
	case names != nil:
		d.names, d.state, d.failed = names, state, nil
	default:
		d.failed = nil
	}
	d.tell(len(names), names != nil, err)
}

// changed reads the file, unless it is the one of before.
func (d *FileDirectory) changed(before fileState) (map[string]bool, fileState, error) {
	info, err := os.Stat(d.Path)
	if err != nil {
		return nil, before, err
	}
	state := fileState{info.Size(), info.ModTime(), info}
	if state.same(before) {
		return nil, before, nil
	}
	names, err := d.read(info.Size())
	return names, state, err
}

func (d *FileDirectory) tell(recipients int, read bool, err error) {
	switch {
	case d.Logger == nil:
	case err != nil:
		d.Logger.Error("policy: directory cannot be read", "file", d.Path, "error", err)
	case read:
		d.Logger.Info("policy: directory read", "file", d.Path, "recipients", recipients)
	}
}

func (d *FileDirectory) read(size int64) (map[string]bool, error) {
	most := d.MaxSize
	if most <= 0 {
		most = 256 << 20
	}
	if size > most {
		return nil, fmt.Errorf("%s: %d bytes are more than MaxSize, %d", d.Path, size, most)
	}
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names := make(map[string]bool)
	lines := bufio.NewScanner(f) // refuses lines of more than 64 KiB
	no := 0
	for lines.Scan() {
		no++
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		whole := text
		if _, domain := addr.Split(text); domain == "" {
			whole = text + "@example.com" // to check it
		}
		if err := addr.Mailbox(whole, true); err != nil {
			return nil, fmt.Errorf("%s: line %d: %q: %w", d.Path, no, text, err)
		}
		names[fold(text)] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: line %d: %w", d.Path, no+1, err)
	}
	return names, nil
}
