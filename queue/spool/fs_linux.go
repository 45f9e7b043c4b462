package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxIOV is the kernel's limit of buffers in one call (UIO_MAXIOV).
const maxIOV = 1024

// writev writes bufs at off with as few system calls as possible.
func writev(f *os.File, bufs [][]byte, off int64) error {
	if len(bufs) == 1 {
		_, err := f.WriteAt(bufs[0], off)
		return err
	}
	fd := int(f.Fd())
	for len(bufs) > 0 {
		n, err := unix.Pwritev(fd, bufs[:min(len(bufs), maxIOV)], off)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		off += int64(n)
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n > 0 { // a short write: write the rest of this buffer
			if _, err := f.WriteAt(bufs[0][n:], off); err != nil {
				return err
			}
			off += int64(len(bufs[0]) - n)
			bufs = bufs[1:]
		}
	}
	return nil
}

// datasync makes the bytes of a file durable. It does not sync metadata that
// reading the bytes does not need, such as the modification time. This saves a
// commit of the file system's journal.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// openNameless opens a file without a name (O_TMPFILE). Errors call it name. The
// error is errors.ErrUnsupported if the file system does not support this.
func openNameless(dir, name string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), name), nil
	case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL:
		return nil, errors.ErrUnsupported
	}
	return nil, &os.PathError{Op: "open", Path: dir, Err: err}
}

// Adopt links the file through its entry in /proc, which works for files with and
// without a name. Without /proc the error is errors.ErrUnsupported.
func (osFS) Adopt(f *os.File, name string) error {
	if err := datasync(f); err != nil {
		return err
	}
	self := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	err := unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	switch err {
	case nil:
		return nil
	case unix.ENOENT, unix.EXDEV, unix.EPERM, unix.EACCES:
		return errors.ErrUnsupported
	}
	return &os.LinkError{Op: "linkat", Old: f.Name(), New: name, Err: err}
}

// noCOW is FS_NOCOW_FL of linux/fs.h.
const noCOW = 0x00800000

// noCopyOnWrite makes new files in a directory overwrite their blocks in place where
// the file system supports this (btrfs). Other file systems refuse the flag.
func noCopyOnWrite(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil && flags&noCOW == 0 {
		unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags|noCOW)
	}
}
