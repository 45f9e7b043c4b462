package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// FileDirectory is a Directory in a text file. Each line has one recipient: a
// local part or a whole address. A # at the start of a line or after white
// space begins a comment.
//
// The file is read again after it has changed and has then not changed for
// Interval. If the new file cannot be read, has an invalid line, or has no
// recipient, the previous list stays in use and the error is logged. If there
// is no previous list, Exists returns an error, and mail is deferred.
//
// To change the file, rename a new file over it, so that an incomplete file is
// never read. The fields must not change once it is used. It is safe for
// concurrent use.
type FileDirectory struct {
	// Path is the path of the file.
	Path string
	// Interval is the time between checks of the file, and the time that a new
	// file must be unchanged before it replaces the list. Default 5 s.
	Interval time.Duration
	// MaxSize is the maximum size of the file in bytes. Default 256 MiB.
	MaxSize int64
	// Logger gets a line when the file was read or could not be read. Default:
	// that of the gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	mu      sync.Mutex // guards the fields below
	looked  time.Time
	reading bool // a goroutine is reading a new file without mu
	state   fileState
	failed  error // the error of the last check
	names   map[string]bool
}

// fileState identifies a version of a file.
type fileState struct {
	size  int64
	mtime time.Time
	file  fs.FileInfo
}

func (a fileState) same(b fileState) bool {
	return a.file != nil && b.file != nil && a.size == b.size && a.mtime.Equal(b.mtime) && os.SameFile(a.file, b.file)
}

// Validate returns an error if a setting can never work. It does not read the
// file; see Load. NewDomains calls it.
func (d *FileDirectory) Validate() error {
	if d.Path == "" {
		return errors.New("policy: FileDirectory.Path is not set")
	}
	return settings.Join("policy: FileDirectory.", settings.Time("Interval", d.Interval), settings.Number("MaxSize", d.MaxSize))
}

// Exists implements Directory.
func (d *FileDirectory) Exists(_ context.Context, address string) (bool, error) {
	names, err := d.list(time.Now())
	if err != nil {
		return false, err
	}
	return inAddressSet(names, address), nil
}

// Load reads the file now if it has changed. Call it before the server starts
// to get an error if the file is wrong.
func (d *FileDirectory) Load() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(time.Now(), 0)
	return d.failed
}

// Err returns why the file could not be used when it was last read, or nil. The previous
// list, if there is one, stays in use.
func (d *FileDirectory) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// list returns the list in use.
func (d *FileDirectory) list(now time.Time) (map[string]bool, error) {
	interval := d.Interval
	setDefault(&interval, 5*time.Second)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.looked.IsZero() || now.Sub(d.looked) >= interval {
		rest := interval
		if d.names == nil {
			rest = 0 // there is no list yet
		}
		d.look(now, rest)
	}
	if d.names == nil {
		return nil, d.failed
	}
	return d.names, nil
}

// look reads the file if it has changed and was then unchanged for rest. The
// caller holds mu. If there is already a list, look unlocks mu while it reads,
// and other goroutines use that list.
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
	d.logRead(len(names), names != nil, err)
}

// changed reads the file, unless it is the version before, or was written
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

func (d *FileDirectory) logRead(recipients int, read bool, err error) {
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
		return nil, fileState{}, fmt.Errorf("%s: the size of %d bytes is above MaxSize, %d", d.Path, info.Size(), most)
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

// parse reads the list. An empty list is an error: the file may have been
// truncated or not yet written, and every recipient would be refused.
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
		if text = withoutComment(text); text == "" {
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
		return nil, fmt.Errorf("%s: the file has no recipients", d.Path)
	}
	return names, nil
}

// withoutComment removes a comment. A # within a word is part of an address
// (RFC 5321, 4.1.2).
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}
