//go:build unix

package filelock

import (
	"os"

	"golang.org/x/sys/unix"
)

// Lock locks f until it is closed. It does not wait. The kernel releases the lock when the
// process ends.
func Lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return ErrLocked
	}
	if err != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return nil
}
