package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// sweep removes content files that belong to no message, reports messages
// whose content files are missing, and counts. Where there is damage, or no
// log at all, a file may belong to a message that was lost: then it is set
// aside. What is no file of the spool's stays.
func (s *Spool) sweep() error {
	names, err := s.fs.ReadDir(s.filesDir())
	if err != nil {
		return err
	}
	have := make(map[uint64]bool)
	for _, d := range names {
		seq, ok := fileSeq(d.Name())
		if r, live := s.replayed[seq]; ok && live && s.index.At(r.slot).Data.inFile {
			have[seq] = true
			continue
		}
		if !ok && !strings.HasPrefix(d.Name(), tempPrefix) {
			continue
		}
		if ok && len(s.segments) == 0 && len(s.recovery.Damaged) == 0 {
			s.damage(Damage{Err: errors.New("spool: there is content, and no log")})
		}
		name := filepath.Join(s.filesDir(), d.Name())
		if ok && len(s.recovery.Damaged) > 0 {
			err = s.fs.Rename(name, filepath.Join(s.damagedDir(), d.Name()))
		} else {
			err = s.fs.Remove(name)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		s.recovery.Swept++
	}
	for seq, r := range s.replayed {
		e := s.index.At(r.slot)
		if e.Data.inFile && !have[seq] {
			s.damage(Damage{ID: s.index.ID(r.slot), Err: errors.New("spool: its content file is missing")})
		}
		s.recovery.Messages++
		s.recovery.Recipients += int(r.recipients)
		s.recovery.Bytes += e.Size
	}
	return nil
}
