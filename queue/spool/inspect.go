package spool

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A View reads a spool without changing it. It is safe for concurrent use.
type View struct{ s *Spool }

// Inspect reads the spool in dir. It changes nothing and does not need the lock, so
// it can be used while a relay has the spool open. The newest messages of the
// relay may then be missing. Leases are not on disk, so no message is leased.
func Inspect(dir string) (*View, error) {
	var err error
	for range 3 { // a running relay may delete a segment while its name is read
		s := newSpool(dir, nil, viewFS{})
		_, err = s.recover()
		if err == nil {
			return &View{s}, nil
		}
		s.closeFiles()
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return nil, err
}

// Recovery returns what Open would find. No damaged bytes are saved, no files are
// deleted, and Interrupted is empty.
func (v *View) Recovery() Recovery { return v.s.recovery }

// List yields the messages that q selects, see queue.Store.
func (v *View) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return v.s.List(ctx, q)
}

// Get reads a message. Its content can be read until Close. The error is
// queue.ErrNotFound if the message does not exist, and queue.ErrDamaged if it is
// damaged.
func (v *View) Get(ctx context.Context, id string) (*queue.Message, error) {
	return v.s.Get(ctx, id)
}

// Verify reads all messages with their content. It returns the damage that
// Recovery reports, and the messages that cannot be read completely.
func (v *View) Verify(ctx context.Context) ([]Damage, error) {
	bad := slices.Clone(v.s.recovery.Damaged)
	for e, err := range v.List(ctx, queue.Query{}) {
		if err != nil {
			return bad, err
		}
		m, err := v.Get(ctx, e.ID)
		if err == nil {
			_, err = m.Content.WriteTo(io.Discard)
		}
		if err != nil {
			bad = append(bad, Damage{ID: e.ID, Err: err})
		}
	}
	return bad, nil
}

// Close closes the files of the spool.
func (v *View) Close() error {
	if v.s.index.close() {
		v.s.closeFiles()
	}
	return nil
}

// viewFS is a file system that does not change. The files that recovery would
// delete stay, and the files that it would write are not written.
type viewFS struct{ osFS }

func (v viewFS) Open(name string, mode openMode) (file, error) {
	if mode != read {
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return v.osFS.Open(name, mode)
}

func (viewFS) Rename(from, to string) error { return nil }
func (viewFS) Remove(name string) error     { return nil }
func (viewFS) MkdirAll(name string) error   { return nil }
func (viewFS) SyncDir(name string) error    { return nil }
