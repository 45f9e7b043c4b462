//go:build unix

package marks

import (
	"os"

	"golang.org/x/sys/unix"
)

// Map maps the first size bytes of a file into memory. The file must have them: a file
// that was only extended may have no block on disk for a page. f may be closed afterwards.
func Map(f *os.File, size int) (mem []byte, unmap func() error, err error) {
	mem, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, &os.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	return mem, func() error { return unix.Munmap(mem) }, nil
}
