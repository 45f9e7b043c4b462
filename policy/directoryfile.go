package policy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// FileDirectory is a Directory in a text file, one recipient a line, as a
// local part or a whole address; what follows # at the start of a word is a
// remark. It is read anew when the file has changed, and has not changed any
// more for Interval. A new file that cannot be read, has a line that is no
// address, or names nobody at all, leaves the former list in force; without a
// former list nobody can be told from somebody, and mail waits.
//
// Replace the file by renaming another over it, so that no half of one is
// ever read.
type FileDirectory struct {
	// Path of the file.
	Path string
	// Interval between looks at the file, and how long a file must rest before
	// it takes the place of a former one. Default 5 s.
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
	d.look(time.Now(), 0)
	return d.failed
}

// list is the list in force.
func (d *FileDirectory) list(now time.Time) (map[string]bool, error) {
	interval := d.Interval
	setDefault(&interval, 5*time.Second)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.looked.IsZero() || now.Sub(d.looked) >= interval {
		rest := interval
		if d.names == nil {
			rest = 0 // better now than no list
		}
		d.look(now, rest)
	}
	if d.names == nil {
		return nil, d.failed
	}
	return d.names, nil
}

// look reads the file if it has changed, and rests. Called with mu held. Where
// there is a list already, mu is released meanwhile, and others use that one.
func (d *FileDirectory) look(now time.Time, rest time.Duration) {
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
	names, state, err := d.changed(before, now.Add(-rest), now)
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

// changed reads the file, unless it is the one of before or was written to
// between since and now.
func (d *FileDirectory) changed(before fileState, since, now time.Time) (map[string]bool, fileState, error) {
	info, err := os.Stat(d.Path)
	if err != nil {
		return nil, before, err
	}
	at := info.ModTime()
	if stateOf(info).same(before) || at.After(since) && !at.After(now) {
		return nil, before, nil
	}
	return d.read()
}

func stateOf(info fs.FileInfo) fileState { return fileState{info.Size(), info.ModTime(), info} }

func (d *FileDirectory) tell(recipients int, read bool, err error) {
	switch {
	case d.Logger == nil:
	case err != nil:
		d.Logger.Error("policy: directory cannot be read", "file", d.Path, "error", err)
	case read:
		d.Logger.Info("policy: directory read", "file", d.Path, "recipients", recipients)
	}
}

func (d *FileDirectory) read() (map[string]bool, fileState, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, fileState{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileState{}, err
	}
	most := d.MaxSize
	if most <= 0 {
		most = 256 << 20
	}
	if info.Size() > most {
		return nil, fileState{}, fmt.Errorf("%s: %d bytes are more than MaxSize, %d", d.Path, info.Size(), most)
	}
	names, err := d.parse(io.LimitReader(f, most))
	if err != nil {
		return nil, fileState{}, err
	}
	if later, err := f.Stat(); err != nil || !stateOf(later).same(stateOf(info)) {
		return nil, fileState{}, fmt.Errorf("%s: changed while it was read", d.Path)
	}
	return names, stateOf(info), nil
}

// parse reads the list. That it names nobody is no list: a file that was cut
// short, or is not written yet, would refuse everybody's mail.
func (d *FileDirectory) parse(r io.Reader) (map[string]bool, error) {
	names := make(map[string]bool)
	lines := bufio.NewScanner(r) // refuses lines of more than 64 KiB
	no := 0
	for lines.Scan() {
		no++
		text := lines.Text()
		if no == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // a byte order mark
		}
		if text = withoutRemark(text); text == "" {
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
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: there is no recipient in it", d.Path)
	}
	return names, nil
}

// withoutRemark cuts a line at a # that begins a word: within one it is a
// letter of a name (RFC 5321, 4.1.2).
func withoutRemark(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}
