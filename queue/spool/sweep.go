package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// sweep deletes content files that belong to no message. If there is damage, or no
// log at all, such a file may belong to a lost message: then sweep moves it to the
// directory damaged. Files that the spool has not created stay. sweep also counts the
// messages and reports those whose content file is missing.
func (r *replayer) sweep() error {
	names, err := r.fs.ReadDir(r.files.dir)
	if err != nil {
		return err
	}
	have := make(map[uint64]bool)
	for _, d := range names {
		seq, ok := fileSeq(d.Name())
		if m, live := r.messages[seq]; ok && live && r.data(m.slot).inFile {
			have[seq] = true
			continue
		}
		if !ok && !strings.HasPrefix(d.Name(), tempPrefix) {
			continue
		}
		if ok && len(r.log.segments) == 0 && len(r.recovery.Damaged) == 0 {
			r.damage(Damage{Err: errors.New("spool: there are content files, but no log")})
		}
		name := filepath.Join(r.files.dir, d.Name())
		if ok && len(r.recovery.Damaged) > 0 {
			err = r.fs.Rename(name, filepath.Join(r.damagedDir(), d.Name()))
		} else {
			err = r.fs.Remove(name)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		r.recovery.Swept++
	}
	r.count(have)
	return nil
}

// count counts the messages, and reports those whose content file is not in
// have.
func (r *replayer) count(have map[uint64]bool) {
	for seq, m := range r.messages {
		e := r.index.entries.At(m.slot)
		if e.Data.inFile && !have[seq] {
			r.damage(Damage{ID: r.index.entries.ID(m.slot), Err: errors.New("spool: content file is missing")})
		}
		r.recovery.Messages++
		r.recovery.Recipients += int(m.recipients)
		r.recovery.Bytes += e.Size
	}
}
