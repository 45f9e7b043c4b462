package spool

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/windows"
)

// openFile lets files be renamed and removed while they are open, which
// package os does not.
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

// SyncDir does nothing: NTFS journals the names by itself, and Windows has no
// call for it.
func (osFS) SyncDir(name string) error { return nil }

// lockFile takes the spool's lock for as long as the file that it returns is
// open.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, new(windows.Overlapped))
	if err != nil {
		f.Close()
		if err == windows.ERROR_LOCK_VIOLATION {
			err = ErrInUse
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// errQuota is "over quota".
var errQuota error = windows.ERROR_DISK_QUOTA_EXCEEDED
