package routing

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A DropDir is a Transport that writes mail as files into a directory, for
// another program to pick up: the drop directory of Exchange and of the
// Windows SMTP service, and, with Replay, the replay directory of another
// relay, or a quarantine that mail can be released from.
//
// Each file is "ID-xxxxxxxx.eml"; a message that comes again for the same
// recipients replaces its file. It appears under its name when it is complete
// and on stable storage.
type DropDir struct {
	// Dir must be there. It is not made: where a file system is not mounted,
	// mail waits.
	Dir string
	// Replay writes the whole envelope, in the form that queue.Import and the
	// replay folder (queue/pickup) read.
	Replay bool
	// NoEnvelope leaves out the fields X-Sender and X-Receiver, which stand
	// before the message's own header otherwise. With Replay it has no effect.
	NoEnvelope bool
}

// Deliver implements Transport.
func (d *DropDir) Deliver(_ context.Context, j *Job) []queue.Result {
	placed, err := d.write(j)
	if err != nil {
		r := queue.Result{Outcome: queue.Unreachable, Err: err, Reply: localError("The message could not be written")}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			r.Reply.EnhancedCode = smtp.EnhancedCode{4, 3, 1}
		}
		if placed || errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotFound) {
			// Somebody may have picked it up, so no other way must be taken
			// now; or it is the message that is at fault, not the directory.
			r.Outcome = queue.Deferred
		}
		return allAlike(len(j.Recipients), r)
	}
	return allAlike(len(j.Recipients), queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250,
		EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Written to directory"}})
}

// write makes a file that is whole, durable, and in its place. placed says
// whether it is there, though an error may have left open for how long.
func (d *DropDir) write(j *Job) (placed bool, err error) {
	f, err := os.CreateTemp(d.Dir, ".new-*.tmp")
	if err != nil {
		return false, err
	}
	defer func() {
		if !placed {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriter(f)
	if err = d.writeMessage(w, j); err != nil {
		return false, err
	}
	if err = w.Flush(); err != nil {
		return false, err
	}
	if err = f.Sync(); err != nil {
		return false, err
	}
	if err = f.Close(); err != nil {
		return false, err
	}
	if err = os.Rename(f.Name(), filepath.Join(d.Dir, dropName(j))); err != nil {
		return false, err
	}
	return true, syncDir(d.Dir)
}

func (d *DropDir) writeMessage(w io.Writer, j *Job) error {
	switch {
	case d.Replay:
		m := *j.Message
		m.Recipients = j.Recipients
		return queue.Export(w, &m)
	case !d.NoEnvelope:
		fmt.Fprintf(w, "X-Sender: %s\r\n", headerSafe(j.Message.From))
		for _, r := range j.Recipients {
			fmt.Fprintf(w, "X-Receiver: %s\r\n", headerSafe(r.Addr))
		}
	}
	_, err := j.Message.Content.WriteTo(w)
	return err
}

// dropName is the same for the same message and recipients, so that an
// attempt that is repeated after a crash makes no second file.
func dropName(j *Job) string {
	h := sha256.New()
	for _, r := range j.Recipients {
		fmt.Fprintf(h, "%s\n", r.Addr)
	}
	id := strings.Map(func(r rune) rune {
		if r == '/' || r == 0 || r == os.PathSeparator {
			return '_'
		}
		return r
	}, j.Message.ID)
	return fmt.Sprintf("%s-%x.eml", strings.TrimLeft(id, "."), h.Sum(nil)[:4])
}

func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return -1
		}
		return r
	}, s)
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // which cannot, and need not
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
