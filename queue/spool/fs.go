package spool

import (
	"io/fs"
	"os"
)

// A fileSystem is all that the spool asks of the operating system, so that
// tests can let every call fail in turn and the power go off at any moment.
// Names are paths. Errors are those of package os.
type fileSystem interface {
	// Open opens a file; with create it makes one, which must not be there.
	Open(name string, mode openMode) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	MkdirAll(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes what happened to the names in a directory durable.
	SyncDir(name string) error
	// Adopt makes the bytes of an open file that CreateFile made durable and
	// gives it a name, beside any that it has already.
	Adopt(f *os.File, name string) error
}

// A file is a regular file.
type file interface {
	ReadAt(b []byte, off int64) (int, error)
	// WriteAt writes all of bufs, one after the other.
	WriteAt(bufs [][]byte, off int64) error
	// Sync makes the file's bytes durable.
	Sync() error
	Size() (int64, error)
	Close() error
}

// osFS is the operating system's.
type osFS struct{}

type openMode int

const (
	read   = openMode(os.O_RDONLY)
	write  = openMode(os.O_RDWR)
	create = openMode(os.O_RDWR | os.O_CREATE | os.O_EXCL)
)

func (osFS) Open(name string, mode openMode) (file, error) {
	f, err := openFile(name, mode)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

func (osFS) Rename(from, to string) error               { return os.Rename(from, to) }
func (osFS) Remove(name string) error                   { return os.Remove(name) }
func (osFS) MkdirAll(name string) error                 { return os.MkdirAll(name, 0o700) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f *osFile) WriteAt(bufs [][]byte, off int64) error { return writev(f.File, bufs, off) }
func (f *osFile) Sync() error                            { return datasync(f.File) }
