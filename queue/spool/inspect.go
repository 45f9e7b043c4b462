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

// A View is a spool that is only looked at. It is safe for concurrent use.
type View struct{ s *Spool }

// Inspect reads the spool in dir without changing anything in it, and without
// its lock: also while a relay has it open, whose newest messages it may then
// not see. Leases are not on disk; all messages look unleased.
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

// Recovery is what Open would say, but that nothing is set aside or swept and
// nothing was interrupted.
func (v *View) Recovery() Recovery { return v.s.recovery }

// List walks over the messages as queue.Store.List does.
func (v *View) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return v.s.List(ctx, q)
}

// Get reads one message; queue.ErrNotFound and queue.ErrDamaged are the
// errors to expect. Its content can be read until Close.
func (v *View) Get(ctx context.Context, id string) (*queue.Message, error) {
	return v.s.Get(ctx, id)
}

// Verify reads everything, content included, and returns what is damaged: what
// Recovery says, and the messages that cannot be read to their end.
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

// Close ends the use of the spool's files.
func (v *View) Close() error {
	if v.s.index.close() {
		v.s.closeFiles()
	}
	return nil
}

// viewFS is a file system on which nothing changes: what recovery would clean
// away stays, and what it would write is not written.
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
