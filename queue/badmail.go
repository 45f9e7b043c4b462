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

// keepBad keeps a message as bad mail: it can be neither delivered nor reported
// to rcpts.
func (r *reporter) keepBad(ctx context.Context, m *Message, rcpts []*Recipient, why string) error {
	bad := *m
	bad.ID = "bad-" + reportID(m, rcpts, "bad")[len("dsn-"):]
	bad.Recipients = rcpts
	kept := func() (string, error) { return r.keep(ctx, &bad) }
	note, err := guarded(r.log, "BadMail", kept)
	if errors.Is(err, ErrDamaged) {
		bad.Content = String("\r\nThe content of this message was damaged in the store.\r\n")
		note, err = guarded(r.log, "BadMail", kept)
	}
	if err == nil {
		if note != "" {
			why += "; " + note
		}
		r.counts.badMail.Add(1)
		r.emit(EventBadMail, m, rcpts, func(e *Event) { e.Text, e.Reference = why, bad.ID })
	}
	return err
}

// clearBadMail removes bad mail that is older than Limits.BadMail, and what
// exceeds the other limits.
func (q *Queue) clearBadMail(now time.Time) error {
	if err := q.removeExcess(q.ctx); err != nil {
		return err
	}
	if q.limits.BadMail < 0 {
		return nil
	}
	before := now.Add(-q.limits.BadMail)
	n, err := q.Do(q.ctx, Filter{Hop: &badMailHop, Before: before, Status: MessageBad}, Remove(false))
	if n > 0 {
		q.log.Info("queue: bad mail cleared", "messages", n, "before", before)
	}
	if skipped := (*SkippedError)(nil); errors.As(err, &skipped) { // another node clears these
		return nil
	}
	return err
}

var farFuture = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// BadMailDir returns a function for [Queue.BadMail]. It writes each message to
// a file ID.eml in dir, in the format of [Export], which the replay folder
// (queue/pickup) reads. It creates dir and its parents if they do not exist.
// When it returns nil, the file is on stable storage. It never removes files,
// and Limits.BadMailBytes and Limits.BadMailMessages do not apply: the
// application must remove old files, because a stranger can make bad mail.
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

// makeDir creates a folder and its parents, and syncs the parents. It syncs
// them even if they exist: the process that created them may have died before
// it synced them. A parent that this process may not read existed before and
// needs no sync. EINVAL means that the file system cannot sync directories.
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
