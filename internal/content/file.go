package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// File returns a Content with the bytes of a file. The file is open only while it
// is read. It must not change: a read after a change is an error.
func File(name string) (*Content, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is not a regular file: %s", info.Mode().Type())}
	}
	f := &namedFile{name, info}
	r, err := f.open() // a file that cannot be read is reported now
	if err != nil {
		return nil, err
	}
	return Section(f, 0, info.Size()), r.Close()
}

// A namedFile is a file that is opened for each read.
type namedFile struct {
	name string
	info os.FileInfo
}

func (f *namedFile) open() (*os.File, error) {
	r, err := os.Open(f.name)
	if err != nil {
		return nil, err
	}
	info, err := r.Stat()
	if err == nil && (!os.SameFile(info, f.info) || info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime())) {
		err = &fs.PathError{Op: "read", Path: f.name, Err: errChanged}
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

var errChanged = errors.New("has changed since it was given as the content of a message")

// ReadAt implements io.ReaderAt.
func (f *namedFile) ReadAt(b []byte, off int64) (int, error) {
	r, err := f.open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.ReadAt(b, off)
}
