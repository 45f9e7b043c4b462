package routing

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A DropDir is a Transport that writes mail as files into a directory, for
// another program to pick up: the drop directory of Exchange and of the
// Windows SMTP service, and a replay directory of another relay.
//
// Each file is "ID-xxxxxxxx.eml"; a message that comes again for the same
// recipients replaces its file. It appears under its name when it is complete
// and on stable storage.
type DropDir struct {
	Dir string
	// NoEnvelope leaves out the fields X-Sender and X-Receiver, which stand
	// before the message's own header otherwise.
	NoEnvelope bool
}

// Deliver implements Transport.
func (d *DropDir) Deliver(_ context.Context, j *Job) []queue.Result {
	if err := d.write(j); err != nil {
		r := queue.Result{Outcome: queue.Unreachable, Err: err, Reply: localError("The message could not be written")}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			r.Reply.EnhancedCode = smtp.EnhancedCode{4, 3, 1}
		}
		return allAlike(len(j.Recipients), r)
	}
	return allAlike(len(j.Recipients), queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250,
		EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Written to directory"}})
}

// write makes a file that is either whole and durable or not there.
func (d *DropDir) write(j *Job) (err error) {
	f, err := os.CreateTemp(d.Dir, ".new-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriter(f)
	if !d.NoEnvelope {
		fmt.Fprintf(w, "X-Sender: %s\r\n", headerSafe(j.Message.From))
		for _, r := range j.Recipients {
			fmt.Fprintf(w, "X-Receiver: %s\r\n", headerSafe(r.Addr))
		}
	}
	if _, err = j.Message.Content.WriteTo(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(d.Dir, dropName(j))); err != nil {
		return err
	}
	return syncDir(d.Dir)
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
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
