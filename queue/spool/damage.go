package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Damage is a stretch of the log, or a message, that cannot be read.
type Damage struct {
	Segment string // path of the segment
	Offset  int64
	Size    int64
	ID      string // of the message, where it is known
	Saved   string // the file that the bytes were copied to, "" if they cannot be read
	Err     error  // what is wrong
}

// setAside copies a stretch of a segment into the directory damaged and
// returns the file's name, "" if that fails.
func (s *Spool) setAside(g *segment, off int64, b []byte) string {
	name := filepath.Join(s.damagedDir(), fmt.Sprintf("%010d-%d-%d", g.number, off, len(b)))
	s.fs.Remove(name) // one of an earlier recovery
	f, err := s.fs.Open(name, create)
	if err == nil {
		err = errors.Join(f.WriteAt([][]byte{b}, 0), f.Sync(), f.Close(), s.fs.SyncDir(s.damagedDir()))
	}
	if err != nil {
		s.logger.Error("spool: damaged bytes cannot be set aside", "file", name, "error", err)
		return ""
	}
	return name
}

// unreadable deals with a message that cannot be read: a damaged one is set
// aside, and one that the disk fails to read stays for later.
func (s *Spool) unreadable(p *place, err error) {
	if !errors.Is(err, queue.ErrDamaged) {
		s.logger.Error("spool: message cannot be read now", "id", p.id, "error", err)
		return
	}
	if !s.index.current(p) {
		return // it was moved or has ended since: it is not damaged
	}
	saved := ""
	if p.segment != nil {
		b := make([]byte, p.data.message.size)
		n, _ := p.segment.file.ReadAt(b, int64(p.data.message.off))
		saved = s.setAside(p.segment, int64(p.data.message.off), b[:n])
	}
	if p.data.inFile { // it would be deleted with the message
		from := s.files.name(p.data.seq)
		if err := s.fs.Rename(from, filepath.Join(s.damagedDir(), filepath.Base(from))); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.logger.Error("spool: content of a damaged message cannot be set aside", "id", p.id, "error", err)
			return // the next Claim tries again
		}
	}
	s.logger.Error("spool: message is damaged and set aside", "id", p.id, "file", saved, "error", err)
	if s.index.removeDamaged(p) {
		s.damaged.Add(1)
	}
}

// rescue implements recordOwner: it sets aside the messages of a segment that
// could not be copied because they could not be read.
func (s *Spool) rescue(g *segment) {
	for after := ""; ; {
		var places []place
		if places, after = s.index.in(g.number, after); after == "" {
			return
		}
		for i := range places {
			if _, err := s.read(&places[i]); err != nil {
				s.unreadable(&places[i], err)
			}
			places[i].done()
		}
	}
}
