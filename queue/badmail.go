package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/durable"
)

// keepBad keeps what cannot be delivered nor reported for the operator.
func (r *reporter) keepBad(ctx context.Context, m *Message, rcpts []*Recipient, why string) error {
	bad := *m
	bad.ID = "bad-" + reportID(m, rcpts, "bad")[len("dsn-"):]
	bad.Recipients = rcpts
	kept := func() (struct{}, error) { return struct{}{}, r.keep(ctx, &bad) }
	_, err := guarded(r.log, "BadMail", kept)
	if errors.Is(err, ErrDamaged) {
		bad.Content = String("\r\nThe content of this message was damaged in the store.\r\n")
		_, err = guarded(r.log, "BadMail", kept)
	}
	if err == nil {
		r.emit(EventBadMail, m, rcpts, func(e *Event) { e.Text, e.Reference = why, bad.ID })
	}
	return err
}

// keepInStore is the default of Queue.BadMail.
func (q *Queue) keepInStore(ctx context.Context, bad *Message) error {
	bad.Received = time.Now()
	err := q.Store.Put(ctx, bad, Schedule{Due: farFuture, Hop: badMailHop})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// clearBadMail removes bad mail that nobody has wanted for long.
func (q *Queue) clearBadMail(now time.Time) error {
	if q.limits.BadMail < 0 {
		return nil
	}
	before := now.Add(-q.limits.BadMail)
	n, err := q.Do(q.ctx, Filter{Hop: &badMailHop, Before: before, Status: MessageBad}, Remove(false))
	if n > 0 {
		q.log.Info("queue: bad mail cleared", "messages", n, "before", before)
	}
	return err
}

var farFuture = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// BadMailDir is a function for [Queue.BadMail] that writes each message to a
// file of its own in dir, ID.eml, in the form of [Export], which the replay
// folder (queue/pickup) takes. The folder is made durably when it is not there,
// with those above it. Nothing is ever removed from it.
func BadMailDir(dir string) func(ctx context.Context, m *Message) error {
	return func(ctx context.Context, m *Message) error {
		if err := makeDir(dir); err != nil {
			return fmt.Errorf("queue: bad mail: %w", err)
		}
		name := filepath.Join(dir, m.ID+".eml")
		_, err := durable.WriteFile(name, 0o640, func(w io.Writer) error { return Export(w, m) })
		if err != nil {
			return fmt.Errorf("queue: bad mail: %w", err)
		}
		return nil
	}
}

// makeDir makes a folder, and those above it, durably. They are synced also
// when they are there: the process that made them may have died before it
// could. A folder that is not ours to read is not ours to sync, and was there
// before; one that answers EINVAL is on a file system without such a sync.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for dir := filepath.Clean(dir); dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
		if err := durable.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
			return err
		}
	}
	return nil
}
