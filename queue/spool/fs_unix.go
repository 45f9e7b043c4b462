//go:build unix

package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-mail/bridgehead/internal/filelock"
)

func openFile(name string, mode openMode) (*os.File, error) {
	return os.OpenFile(name, int(mode), 0o600)
}

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// lockFile locks the spool until the caller closes the result. The kernel releases
// the lock when the process ends.
func lockFile(name string) (io.Closer, error) {
	f, err := flock(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	// An operator may remove the lock file, and with it the lock. So lock the
	// directory too. Not every file system can lock a directory (NFS cannot).
	d, err := flock(filepath.Dir(name), os.O_RDONLY)
	switch {
	case err == nil:
		return locks{f, d}, nil
	case errors.Is(err, ErrInUse):
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, how, 0o600)
	if err != nil {
		return nil, err
	}
	if err := filelock.Lock(f); err != nil {
		f.Close()
		return nil, lockError(name, err)
	}
	return f, nil
}

// locks are two locked files. Close releases both locks.
type locks [2]*os.File

func (l locks) Close() error { return errors.Join(l[0].Close(), l[1].Close()) }

// errQuota is the error of a write that exceeds a disk quota.
var errQuota error = unix.EDQUOT
