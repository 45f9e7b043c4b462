package spool

import (
	"io/fs"
	"os"

	"github.com/bridgehead-mail/bridgehead/internal/vfs"
)

// fileSystem, file and openMode are short names. All calls of the spool to the
// operating system go through a fileSystem: tests make each call fail, and simulate
// power failures.
type (
	fileSystem = vfs.FileSystem
	file       = vfs.File
	openMode   = vfs.Mode
)

const (
	read   = vfs.Read
	write  = vfs.Write
	create = vfs.Create
)

// osFS is the file system of the operating system.
type osFS struct{}

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
