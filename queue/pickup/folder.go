package pickup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Folder is a directory whose files are submitted. Dir and Submit must be set.
// The zero value of every other field is a default. The fields must not change
// after Run was called.
type Folder struct {
	// Dir is the path of the directory.
	Dir string
	// Submit submits a message; it is usually queue.Queue.Submit. If the error
	// is a 5xx *smtp.SMTPError, the file becomes a bad file. After any other
	// error the file is tried again at the next scan.
	Submit func(context.Context, *queue.Message) error
	// Replay makes this a replay folder: the envelope is in X- fields.
	Replay bool
	// Interval is the time between two scans of the folder. Default 5 seconds
	// (Exchange).
	Interval time.Duration
	// MaxSize is the maximum size of a file in bytes. Default 36 MiB (the
	// message size of Exchange).
	MaxSize int64
	// MaxHeader is the maximum size of the header in bytes, in a pickup folder.
	// Default 64 KiB (Exchange).
	MaxHeader int
	// MaxRecipients is the maximum number of recipients of a message. Default
	// 100 (Exchange).
	MaxRecipients int
	// Hostname is used in the Message-ID of messages that have none. Default
	// os.Hostname.
	Hostname string
	// Logger gets a line for each file. A nil Logger is silent.
	Logger *slog.Logger
}

// Run scans the folder until ctx ends, and then returns nil. It creates the
// folder if it does not exist. It first renames files that a process left as
// NAME.tmp when it died, so that they are submitted again. Only such a message
// can be submitted twice. It returns an error if it cannot create or read the
// folder at the beginning, or cannot rename such a file.
func (f *Folder) Run(ctx context.Context) error {
	if err := os.MkdirAll(f.Dir, 0o750); err != nil {
		return fmt.Errorf("pickup: %w", err)
	}
	if err := f.recover(); err != nil {
		return fmt.Errorf("pickup: %w", err)
	}
	tick := time.NewTicker(positive(f.Interval, 5*time.Second))
	defer tick.Stop()
	for {
		if err := f.scan(ctx); err != nil {
			f.log(slog.LevelError, "pickup: cannot read the folder", "dir", f.Dir, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// recover renames the files that an earlier process was submitting when it died.
func (f *Folder) recover() error {
	names, err := f.files(".tmp")
	for _, name := range names {
		err = errors.Join(err, putBack(name, name[:len(name)-len(".tmp")]))
	}
	return err
}

// freeName returns a name with this suffix that no file has. A program may
// always use the same name, and leave its next message while the last one is
// being submitted. One file must not replace another.
func freeName(base, suffix string) string {
	name := base + suffix
	for n := 1; ; n++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d%s", base, n, suffix)
	}
}

// putBack gives a file that was being submitted the suffix .eml again, so that
// the next scan finds it.
func putBack(tmp, base string) error {
	for {
		name := freeName(base, ".eml")
		switch err := os.Link(tmp, name); { // fails if a file has the name by now
		case err == nil:
			return os.Remove(tmp)
		case !errors.Is(err, fs.ErrExist):
			return os.Rename(tmp, name) // a file system without links
		}
	}
}

// files returns the paths of the regular files in the folder with this suffix.
func (f *Folder) files(suffix string) ([]string, error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.EqualFold(filepath.Ext(e.Name()), suffix) {
			names = append(names, filepath.Join(f.Dir, e.Name()))
		}
	}
	return names, nil
}

// scan submits the files that are in the folder now.
func (f *Folder) scan(ctx context.Context) error {
	names, err := f.files(".eml")
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return nil
		}
		f.file(ctx, name)
	}
	return nil
}

// file submits one file.
func (f *Folder) file(ctx context.Context, name string) {
	base := name[:len(name)-len(".eml")]
	tmp := freeName(base, ".tmp")
	if err := os.Rename(name, tmp); err != nil {
		f.log(slog.LevelError, "pickup: cannot rename file", "file", name, "error", err)
		return
	}
	m, err := f.read(tmp)
	if err == nil {
		err = f.Submit(ctx, m)
		var se *smtp.SMTPError
		if err != nil && !(errors.As(err, &se) && se.Code/100 == 5) {
			f.log(slog.LevelWarn, "pickup: message not submitted, it will be tried again", "file", name, "error", err)
			if err := putBack(tmp, base); err != nil {
				f.log(slog.LevelError, "pickup: cannot rename file", "file", tmp, "error", err)
			}
			return
		}
	}
	if err != nil {
		f.bad(tmp, base, err)
		return
	}
	f.log(slog.LevelInfo, "pickup: message submitted", "file", name, "id", m.ID)
	if err := os.Remove(tmp); err != nil {
		// The next process would submit it again, so the operator must know.
		f.log(slog.LevelError, "pickup: cannot remove submitted file, a restart would submit it again", "file", tmp, "error", err)
	}
}

// bad renames a file that can never be submitted to NAME.bad, and writes the
// reason to NAME.bad.txt.
func (f *Folder) bad(tmp, base string, why error) {
	name := freeName(base, ".bad")
	f.log(slog.LevelWarn, "pickup: bad file", "file", name, "error", why)
	err := os.Rename(tmp, name)
	if err == nil {
		err = os.WriteFile(name+".txt", []byte(why.Error()+"\n"), 0o640)
	}
	if err != nil {
		f.log(slog.LevelError, "pickup: cannot rename bad file", "file", tmp, "error", err)
	}
}

// read reads a file and returns its message.
func (f *Folder) read(name string) (*queue.Message, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if most := positive(f.MaxSize, 36<<20); info.Size() > most {
		return nil, fmt.Errorf("pickup: the file has %d bytes, the limit is %d", info.Size(), most)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var m *queue.Message
	if f.Replay {
		m, err = queue.Import(queue.Bytes(crlf(b)))
	} else {
		m, err = f.compose(crlf(b))
	}
	if err != nil {
		return nil, err
	}
	if most := positive(f.MaxRecipients, 100); len(m.Recipients) > most {
		return nil, fmt.Errorf("pickup: the message has %d recipients, the limit is %d", len(m.Recipients), most)
	}
	return m, nil
}

func (f *Folder) log(level slog.Level, msg string, args ...any) {
	if f.Logger != nil {
		f.Logger.Log(context.Background(), level, msg, args...)
	}
}

// positive returns n if it is positive, and standard otherwise.
func positive[T int | int64 | time.Duration](n, standard T) T {
	if n <= 0 {
		return standard
	}
	return n
}
