package spool

import (
	"io"
	"os"

	"golang.org/x/sys/windows"

	"github.com/bridgehead-mail/bridgehead/internal/filelock"
)

// openFile opens a file so that it can be renamed and removed while it is open.
// Package os does not support this on Windows.
func openFile(name string, mode openMode) (*os.File, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	access, how := uint32(windows.GENERIC_READ|windows.GENERIC_WRITE), uint32(windows.OPEN_EXISTING)
	switch mode {
	case read:
		access = windows.GENERIC_READ
	case create:
		how = windows.CREATE_NEW
	}
	h, err := windows.CreateFile(path, access, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, how, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

// SyncDir does nothing. NTFS journals changes to names, and Windows has no call
// to sync a directory.
func (osFS) SyncDir(name string) error { return nil }

// lockFile locks the spool until the caller closes the result.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := filelock.Lock(f); err != nil {
		f.Close()
		return nil, lockError(name, err)
	}
	return f, nil
}

// errQuota is the error of a write that exceeds a disk quota.
var errQuota error = windows.ERROR_DISK_QUOTA_EXCEEDED
