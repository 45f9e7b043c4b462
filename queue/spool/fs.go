package spool

import (
	"io/fs"
	"os"
)

// A fileSystem has all calls of the spool to the operating system. Tests replace
// it to make each call fail, and to simulate power failures. Names are paths. The
// errors are those of package os.
type fileSystem interface {
	// Open opens a file. With the mode create it creates a file, which must not
	// exist.
	Open(name string, mode openMode) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	MkdirAll(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the changes to the names in a directory durable.
	SyncDir(name string) error
	// Adopt makes the bytes of an open file of CreateFile durable, and gives
	// the file a name in addition to any that it has.
	Adopt(f *os.File, name string) error
}

// A file is a regular file.
type file interface {
	ReadAt(b []byte, off int64) (int, error)
	// WriteAt writes all buffers, one after the other.
	WriteAt(bufs [][]byte, off int64) error
	// Sync makes the file's bytes durable.
	Sync() error
	Size() (int64, error)
	Close() error
}

// osFS is the file system of the operating system.
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
