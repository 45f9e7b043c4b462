package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

	mu   sync.Mutex // guards Logger
	file watchedFile[map[string]bool]
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
func (d *FileDirectory) Load() error { return d.file.load(d.source()) }

// Err returns why the file could not be used when it was last read, or nil. The previous
// list, if there is one, stays in use.
func (d *FileDirectory) Err() error { return d.file.err() }

// list returns the list in use.
func (d *FileDirectory) list(now time.Time) (map[string]bool, error) {
	names, err := d.file.get(d.source(), now)
	if err != nil {
		return nil, err
	}
	return *names, nil
}

func (d *FileDirectory) source() fileSource[map[string]bool] {
	f := fileSource[map[string]bool]{d.Path, d.Interval, d.MaxSize, d.parse, d.logRead}
	setDefault(&f.interval, 5*time.Second)
	if f.maxSize <= 0 {
		f.maxSize = 256 << 20
	}
	return f
}

func (d *FileDirectory) logRead(names *map[string]bool, err error) {
	d.mu.Lock()
	log := d.Logger
	d.mu.Unlock()
	switch {
	case log == nil:
	case err != nil:
		log.Error("policy: directory cannot be read", "file", d.Path, "error", err)
	case names != nil:
		log.Info("policy: directory read", "file", d.Path, "recipients", len(*names))
	}
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
