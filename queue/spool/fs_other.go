//go:build !linux

package spool

import (
	"errors"
	"fmt"
	"os"
)

func writev(f *os.File, bufs [][]byte, off int64) error {
	for _, b := range bufs {
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

// datasync makes the bytes of a file durable. Package os uses F_FULLFSYNC on
// Darwin and FlushFileBuffers on Windows; both write to the medium.
func datasync(f *os.File) error { return f.Sync() }

// openNameless is not supported here.
func openNameless(dir, name string) (*os.File, error) { return nil, errors.ErrUnsupported }

func (osFS) Adopt(f *os.File, name string) error {
	if err := datasync(f); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return nil
}

// noCopyOnWrite does nothing here.
func noCopyOnWrite(dir string) {}
