// Package durable writes files that are either complete or absent.
package durable

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile writes a file and makes it and its name durable. Until it is
// complete the file has another name in the same folder, which begins with
// ".new-". A file that had the name is replaced.
//
// placed reports whether the file has its name. If there is an error as well, a
// power failure may still remove the file.
func WriteFile(name string, perm fs.FileMode, write func(io.Writer) error) (placed bool, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*.tmp")
	if err != nil {
		return false, err
	}
	if err := fill(f, perm, write); err != nil {
		os.Remove(f.Name())
		return false, err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		os.Remove(f.Name())
		return false, err
	}
	return true, SyncDir(filepath.Dir(name))
}

// fill writes, syncs and closes f.
func fill(f *os.File, perm fs.FileMode, write func(io.Writer) error) error {
	w := bufio.NewWriter(f)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil && runtime.GOOS != "windows" { // Windows has no such permissions
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes the names in a folder durable. Windows has no such operation and
// needs none.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
