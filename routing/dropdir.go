package routing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/durable"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A DropDir is a Transport that writes mail as files into a directory, where
// another program picks it up. It is like the drop directory of Exchange and
// of the Windows SMTP service. With Replay, the directory can be the replay
// directory of another relay, or a quarantine from which mail can be released.
//
// The name of each file is "ID-xxxxxxxx.eml". A repeated attempt for the same
// message and recipients replaces the file. A file gets its name after it is
// complete and on stable storage.
type DropDir struct {
	// Dir is the directory. It must exist: the transport does not create it. If
	// it does not exist, for example because its file system is not mounted,
	// mail waits.
	Dir string
	// Replay writes the complete envelope, in the format of queue.Export.
	// queue.Import and the replay folder (queue/pickup) read it.
	Replay bool
	// NoEnvelope omits the fields X-Sender and X-Receiver before the header of
	// the message. It has no effect with Replay.
	NoEnvelope bool
}

// Deliver implements Transport.
func (d *DropDir) Deliver(ctx context.Context, j *Job) []queue.Result {
	placed, denied, err := d.write(ctx, j)
	if denied {
		return sameResults(len(j.Recipients), errorResult(err))
	}
	if err != nil {
		r := queue.Result{Outcome: queue.Unreachable, Err: err, Reply: localError("The message could not be written")}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			r.Reply.EnhancedCode = smtp.EnhancedCode{4, 3, 1}
		}
		if placed || errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotFound) {
			// The file may have been picked up, so no other hop must be tried
			// now. Or the fault is in the message, not in the directory.
			r.Outcome = queue.Deferred
		}
		return sameResults(len(j.Recipients), r)
	}
	return sameResults(len(j.Recipients), queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250,
		EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Written to directory"}})
}

// write creates a complete and durable file. placed reports whether the file
// has its name; if there is an error as well, it may not be durable. denied means
// that queue.MayFinish has returned the error.
func (d *DropDir) write(ctx context.Context, j *Job) (placed, denied bool, err error) {
	placed, err = durable.WriteFile(filepath.Join(d.Dir, dropName(j)), 0o600, func(w io.Writer) error {
		if err := d.writeMessage(w, j); err != nil {
			return err
		}
		err := queue.MayFinish(ctx)
		denied = err != nil
		return err
	})
	return placed, denied, err
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

// dropName returns the same name for the same message and recipients, so that
// a repeated attempt after a crash creates no second file.
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
