package pickup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
	// Hostname is used in the Message-ID of messages that have none. Default:
	// that of the gateway.Gateway that has the Folder in its Parts. If there is
	// none, os.Hostname.
	Hostname string
	// Logger gets a line for each file. Default: that of the gateway.Gateway.
	// If there is none, nothing is logged.
	Logger *slog.Logger
}

// Run scans the folder until ctx ends, and then returns nil. It creates the
// folder if it does not exist. If an earlier process died and left files with
// names NAME.tmp, Run first renames them, so that they are submitted again.
// Only the messages in these files can be submitted twice. Run returns an error
// if it cannot create or read the folder at the beginning, or cannot rename one
// of these files.
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
	d, err := openDir(f.Dir)
	if err != nil {
		return err
	}
	defer d.close()
	names, err := d.files(".tmp")
	for _, name := range names {
		err = errors.Join(err, d.putBack(name, name[:len(name)-len(".tmp")]))
	}
	return err
}

// scan submits the files that are in the folder now.
func (f *Folder) scan(ctx context.Context) error {
	d, err := openDir(f.Dir)
	if err != nil {
		return err
	}
	defer d.close()
	names, err := d.files(".eml")
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return nil
		}
		f.file(ctx, d, name)
	}
	return nil
}

// file submits one file.
func (f *Folder) file(ctx context.Context, d dir, name string) {
	base := name[:len(name)-len(".eml")]
	tmp := d.freeName(base, ".tmp")
	if err := d.root.Rename(name, tmp); err != nil {
		f.log(slog.LevelError, "pickup: cannot rename file", "file", f.path(name), "error", err)
		return
	}
	m, err := f.read(d, tmp)
	if err == nil {
		err = f.Submit(ctx, m)
		var se *smtp.SMTPError
		if err != nil && !(errors.As(err, &se) && se.Code/100 == 5) {
			f.log(slog.LevelWarn, "pickup: message not submitted, it will be tried again", "file", f.path(name), "error", err)
			if err := d.putBack(tmp, base); err != nil {
				f.log(slog.LevelError, "pickup: cannot rename file", "file", f.path(tmp), "error", err)
			}
			return
		}
	}
	if err != nil {
		f.bad(d, tmp, base, err)
		return
	}
	f.log(slog.LevelInfo, "pickup: message submitted", "file", f.path(name), "id", m.ID)
	if err := d.root.Remove(tmp); err != nil {
		// The next process would submit it again, so the operator must know.
		f.log(slog.LevelError, "pickup: cannot remove submitted file, a restart would submit it again", "file", f.path(tmp), "error", err)
	}
}

// bad renames a file that can never be submitted to NAME.bad, and writes the
// reason to NAME.bad.txt.
func (f *Folder) bad(d dir, tmp, base string, why error) {
	name, err := d.setAside(tmp, base, why.Error()+"\n")
	f.log(slog.LevelWarn, "pickup: bad file", "file", f.path(name), "error", why)
	if err != nil {
		f.log(slog.LevelError, "pickup: cannot rename bad file", "file", f.path(tmp), "error", err)
	}
}

// read reads a file and returns its message.
func (f *Folder) read(d dir, name string) (*queue.Message, error) {
	b, err := d.read(name, positive(f.MaxSize, 36<<20))
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

// path returns the path of a file, for the log.
func (f *Folder) path(name string) string { return filepath.Join(f.Dir, name) }

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
