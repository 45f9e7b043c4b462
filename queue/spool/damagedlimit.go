package spool

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// The limits of the directory damaged, see Options.
const (
	defaultDamagedBytes = 50 << 20
	defaultDamagedFiles = 10000
)

// limitDamaged deletes the oldest files of the directory damaged until it is within its
// limits.
func (s *Spool) limitDamaged() {
	names, err := s.fs.ReadDir(s.damagedDir())
	if err != nil {
		return
	}
	var files []fs.FileInfo
	var size int64
	for _, d := range names {
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
			size += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		if c := a.ModTime().Compare(b.ModTime()); c != 0 {
			return c
		}
		return strings.Compare(a.Name(), b.Name())
	})
	for _, f := range files {
		if (s.damagedBytes < 0 || size <= s.damagedBytes) && (s.damagedFiles < 0 || len(files) <= s.damagedFiles) {
			return
		}
		name := filepath.Join(s.damagedDir(), f.Name())
		if err := s.fs.Remove(name); err != nil {
			s.logger.Error("spool: cannot delete the oldest damaged bytes", "file", name, "error", err)
			return
		}
		s.logger.Warn("spool: the directory damaged is full, its oldest file was deleted", "file", name, "size", f.Size(), "modified", f.ModTime())
		size -= f.Size()
		files = files[1:]
	}
}
