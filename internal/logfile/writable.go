package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Validate returns an error if files cannot be created in Dir. If Dir does not
// exist, it tries this in the next directory above that exists. It leaves
// nothing behind. A full disk is no error, because it is not a wrong setting.
func (f *Files) Validate() error { return Writable(f.Dir) }

// Writable is Files.Validate for a directory.
func Writable(dir string) error {
	if dir == "" {
		return errors.New("log: Dir is not set")
	}
	made := filepath.Clean(dir) // it, or what is above it
	for {
		_, err := os.Stat(made)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || made == filepath.Dir(made) {
			break
		}
		made = filepath.Dir(made)
	}
	tried, err := os.MkdirTemp(made, ".writable-")
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err // the path is that of a temporary name
		}
		return fmt.Errorf("log: Dir %s cannot be written: %s: %w", dir, made, err)
	}
	return os.Remove(tried)
}
