package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Damage describes a part of the log, or a message, that cannot be read.
type Damage struct {
	Segment string // path of the segment, or of the file suspensions
	Offset  int64  // of the damaged bytes in the segment
	Size    int64  // of the damaged bytes
	ID      string // of the message, if it is known
	Saved   string // path of the file with a copy of the bytes; "" if there is no copy
	Err     error  // what is wrong
}

// saveDamaged copies bytes of a segment into a file in the directory damaged. Bytes
// that cannot be read become zeros, and bytes after the end of the segment's file are
// left out. saveDamaged returns the path of the file, "" if that fails.
func (s *Spool) saveDamaged(g *segment, off, size int64) string {
	name := filepath.Join(s.damagedDir(), fmt.Sprintf("%010d-%d-%d", g.number, off, size))
	s.fs.Remove(name) // a file of an earlier recovery
	f, err := s.fs.Open(name, create)
	if err == nil {
		err = errors.Join(copyRange(f, g, off, size), f.Sync(), f.Close(), s.fs.SyncDir(s.damagedDir()))
	}
	if err != nil {
		s.logger.Error("spool: cannot save damaged bytes", "file", name, "error", err)
		return ""
	}
	return name
}

// saveBytes writes bytes into a new file in the directory damaged. The name of the
// file begins with prefix. saveBytes returns its path, "" if that fails.
func (s *Spool) saveBytes(prefix string, b []byte) string {
	name := filepath.Join(s.damagedDir(), fmt.Sprintf("%s-%d", prefix, time.Now().UnixNano()))
	f, err := s.fs.Open(name, create)
	if err == nil {
		err = errors.Join(f.WriteAt([][]byte{b}, 0), f.Sync(), f.Close(), s.fs.SyncDir(s.damagedDir()))
	}
	if err != nil {
		s.logger.Error("spool: cannot save damaged bytes", "file", name, "error", err)
		return ""
	}
	return name
}

// copyRange copies bytes of a segment to the start of a file.
func copyRange(to file, g *segment, off, size int64) error {
	w := window{file: g.file, size: min(g.capacity, off+size)}
	for at := off; at < w.size; {
		n := min(w.size-at, windowSize)
		if err := to.WriteAt([][]byte{w.at(at, n)}, at-off); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// unreadable handles a message that cannot be read. If the message is damaged, it
// saves its bytes in the directory damaged and removes it from the queue. If only
// the disk has failed to read it, the message stays in the queue.
func (s *Spool) unreadable(p *place, err error) {
	if !errors.Is(err, queue.ErrDamaged) {
		s.logger.Error("spool: cannot read message now", "id", p.id, "error", err)
		return
	}
	if !s.index.current(p) {
		return // it was moved or has ended meanwhile, so it is not damaged
	}
	saved := ""
	if p.segment != nil {
		saved = s.saveDamaged(p.segment, int64(p.data.message.off), int64(p.data.message.size))
	}
	if p.data.inFile { // the content file would be deleted with the message
		from := s.files.name(p.data.seq)
		if err := s.fs.Rename(from, filepath.Join(s.damagedDir(), filepath.Base(from))); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.logger.Error("spool: cannot save content of damaged message", "id", p.id, "error", err)
			return // the next Claim tries again
		}
	}
	s.limitDamaged()
	s.logger.Error("spool: a damaged message was removed from the queue", "id", p.id, "saved", saved, "error", err)
	if s.index.removeDamaged(p) {
		s.damaged.Add(1)
	}
}

// rescue implements recordOwner. It calls unreadable for the messages of a segment
// that compaction could not copy because they cannot be read.
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
