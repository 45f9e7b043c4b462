//go:build unix

package pickup

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens a file for reading. It fails for a link, and does not wait for the
// writer of a FIFO. (os.Root follows links inside the directory.)
func (d dir) openFile(name string) (*os.File, error) {
	self, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	for {
		fd, err := unix.Openat(int(self.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK): // FreeBSD has EMLINK
			return nil, errNotRegular
		case !errors.Is(err, unix.EINTR):
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}
