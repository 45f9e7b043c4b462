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

// A Folder is looked through for messages to submit. Dir and Submit must be
// set; every other field's zero value is a default. The fields must not
// change once Run was called.
type Folder struct {
	Dir string
	// Submit takes messages over; it is the queue's. An error with a 5xx
	// *smtp.SMTPError makes the file a bad one; after any other it is tried
	// again the next time.
	Submit func(context.Context, *queue.Message) error
	// Replay says that the files have their envelope in X- fields.
	Replay bool
	// Interval between two looks. Default 5 seconds (Exchange).
	Interval time.Duration
	// MaxSize of a file, in bytes. Default 36 MiB (Exchange's message size).
	MaxSize int64
	// MaxHeader of a file in a pickup folder, in bytes. Default 64 KiB
	// (Exchange).
	MaxHeader int
	// MaxRecipients of a message. Default 100 (Exchange).
	MaxRecipients int
	// Hostname for the Message-ID of messages that have none. Default
	// os.Hostname.
	Hostname string
	// Logger gets a line for each file; nil is silent.
	Logger *slog.Logger
}

// Run looks through the folder until ctx ends, and returns nil then; the
// folder is made when it is not there. What a process left half done that
// died (NAME.tmp) is taken up again: a message is submitted twice only then.
func (f *Folder) Run(ctx context.Context) error {
	if err := os.MkdirAll(f.Dir, 0o750); err != nil {
		return fmt.Errorf("pickup: %w", err)
	}
	if err := f.takeUp(); err != nil {
		return fmt.Errorf("pickup: %w", err)
	}
	tick := time.NewTicker(positive(f.Interval, 5*time.Second))
	defer tick.Stop()
	for {
		if err := f.look(ctx); err != nil {
			f.log(slog.LevelError, "pickup: the folder cannot be read", "dir", f.Dir, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// takeUp renames what an earlier process had in hand.
func (f *Folder) takeUp() error {
	names, err := f.files(".tmp")
	for _, name := range names {
		err = errors.Join(err, putBack(name, name[:len(name)-len(".tmp")]))
	}
	return err
}

// free is a name with that suffix that no file has. A program that always
// uses the same name may have left its next message while the last one was in
// hand: no file takes another's place.
func free(base, suffix string) string {
	name := base + suffix
	for n := 1; ; n++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d%s", base, n, suffix)
	}
}

// putBack makes a file in hand one that waits.
func putBack(tmp, base string) error {
	for {
		name := free(base, ".eml")
		switch err := os.Link(tmp, name); { // fails where the name is taken by now
		case err == nil:
			return os.Remove(tmp)
		case !errors.Is(err, fs.ErrExist):
			return os.Rename(tmp, name) // a file system without links
		}
	}
}

// files are the regular files in the folder with that suffix.
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

// look submits what is there now.
func (f *Folder) look(ctx context.Context) error {
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
	tmp := free(base, ".tmp")
	if err := os.Rename(name, tmp); err != nil {
		f.log(slog.LevelError, "pickup: a file cannot be renamed", "file", name, "error", err)
		return
	}
	m, err := f.read(tmp)
	if err == nil {
		err = f.Submit(ctx, m)
		var se *smtp.SMTPError
		if err != nil && !(errors.As(err, &se) && se.Code/100 == 5) {
			f.log(slog.LevelWarn, "pickup: a message was not taken over, it will be tried again", "file", name, "error", err)
			if err := putBack(tmp, base); err != nil {
				f.log(slog.LevelError, "pickup: a file cannot be renamed", "file", tmp, "error", err)
			}
			return
		}
	}
	if err != nil {
		f.bad(tmp, base, err)
		return
	}
	f.log(slog.LevelInfo, "pickup: message taken over", "file", name, "id", m.ID)
	if err := os.Remove(tmp); err != nil {
		// It would come again with the next process; say so loudly.
		f.log(slog.LevelError, "pickup: a file that was submitted cannot be removed", "file", tmp, "error", err)
	}
}

// bad puts a file aside that is no message that can be sent.
func (f *Folder) bad(tmp, base string, why error) {
	name := free(base, ".bad")
	f.log(slog.LevelWarn, "pickup: bad file", "file", name, "error", why)
	err := os.Rename(tmp, name)
	if err == nil {
		err = os.WriteFile(name+".txt", []byte(why.Error()+"\n"), 0o640)
	}
	if err != nil {
		f.log(slog.LevelError, "pickup: a bad file cannot be put aside", "file", tmp, "error", err)
	}
}

// read makes a message of a file.
func (f *Folder) read(name string) (*queue.Message, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if most := positive(f.MaxSize, 36<<20); info.Size() > most {
		return nil, fmt.Errorf("pickup: %d bytes, at most %d are taken", info.Size(), most)
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
		return nil, fmt.Errorf("pickup: %d recipients, at most %d are taken", len(m.Recipients), most)
	}
	return m, nil
}

func (f *Folder) log(level slog.Level, msg string, args ...any) {
	if f.Logger != nil {
		f.Logger.Log(context.Background(), level, msg, args...)
	}
}

func positive[T int | int64 | time.Duration](n, standard T) T {
	if n <= 0 {
		return standard
	}
	return n
}
