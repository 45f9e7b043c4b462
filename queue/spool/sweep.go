package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// crashAge is the age of the oldest content file that a crash can leave without a message,
// when the spool is opened at once: a message that is stored was received and scanned
// before.
const crashAge = time.Hour

// listFiles notes the content files.
func (r *replayer) listFiles() error {
	names, err := r.fs.ReadDir(r.files.dir)
	for _, d := range names {
		if seq, ok := fileSeq(d.Name()); ok {
			r.ended[seq] = false
		}
	}
	return err
}

// lastUse returns when the spool was last written to, as far as its files show.
func (r *replayer) lastUse() (last time.Time) {
	for _, dir := range []string{r.log.dir, r.files.dir} {
		names, _ := r.fs.ReadDir(dir)
		for _, d := range names {
			if info, err := d.Info(); err == nil && info.ModTime().After(last) {
				last = info.ModTime()
			}
		}
	}
	return last
}

// lost reports whether a content file without a message belongs to a lost one: the log
// does not say that the message has ended, and the file is older than a crash can leave.
func (r *replayer) lost(d fs.DirEntry, seq uint64, lastUse time.Time) bool {
	info, err := d.Info()
	return err == nil && !r.ended[seq] && lastUse.Sub(info.ModTime()) > crashAge
}

// sweep deletes content files that belong to no message. Such a file may belong to a lost
// message if there is damage, if there is no log at all, or if the file is older than a
// crash can leave. Then sweep moves it to the directory damaged. Files that the spool has
// not created stay. sweep also counts the messages and reports those whose content file
// is missing.
func (r *replayer) sweep() error {
	names, err := r.fs.ReadDir(r.files.dir)
	if err != nil {
		return err
	}
	lastUse := r.lastUse()
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
		if ok && r.lost(d, seq, lastUse) {
			r.damage(Damage{Err: fmt.Errorf("spool: the log has no record of the message of %s; a segment may be missing", name),
				Saved: filepath.Join(r.damagedDir(), d.Name())})
		}
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
