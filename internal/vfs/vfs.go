// Package vfs declares the calls of the spool to the file system. The spool makes
// them on the file system of the operating system. Tests replace it, for example by
// the disk in memory of package memdisk.
package vfs

import (
	"io/fs"
	"os"
)

// A FileSystem has the calls of the spool to the operating system. Names are paths.
// The errors are those of package os.
type FileSystem interface {
	// Open opens a file. With the mode Create it creates a file, which must not
	// exist.
	Open(name string, mode Mode) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	MkdirAll(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the changes to the names in a directory durable.
	SyncDir(name string) error
	// Adopt makes the bytes of an open file of the operating system durable, and
	// gives the file a name in addition to any that it has.
	Adopt(f *os.File, name string) error
}

// A File is a regular file.
type File interface {
	ReadAt(b []byte, off int64) (int, error)
	// WriteAt writes all buffers, one after the other.
	WriteAt(bufs [][]byte, off int64) error
	// Sync makes the file's bytes durable.
	Sync() error
	Size() (int64, error)
	Close() error
}

// Mode is how a file is opened.
type Mode int

const (
	Read   = Mode(os.O_RDONLY)
	Write  = Mode(os.O_RDWR)
	Create = Mode(os.O_RDWR | os.O_CREATE | os.O_EXCL)
)
