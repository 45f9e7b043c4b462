package spool

import (
	"errors"
	"os"
	"path/filepath"
)

// spareName is the file of a segment that is not in use yet.
const spareName = "spare"

// newSpare makes a file of zeros in the log directory. Zeros are written in
// advance so that a commit overwrites blocks that exist: it changes no
// metadata, which halves the cost of its sync, and it cannot run out of disk.
func (l *recordLog) newSpare(size int64) (file, error) {
	name := filepath.Join(l.dir, spareName)
	if err := l.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := l.fs.Open(name, create)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		err = f.WriteAt([][]byte{zeros[:min(int64(len(zeros)), size-off)]}, off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		l.fs.Remove(name)
		return nil, err
	}
	return f, nil
}

// prepareSpare makes the next segment ready when half of the active one is
// used. Until then a dead segment may become the spare, which costs nothing.
func (l *recordLog) prepareSpare() {
	l.mu.Lock()
	soon := l.used.Load() >= l.segmentSize/2 || l.noSpare != nil
	l.mu.Unlock()
	if soon {
		l.makeSpare()
	}
}

// needSpare returns when the next segment is ready, and makes it if it must.
// When there is no room for one, housekeeping tries again.
func (l *recordLog) needSpare() error {
	l.mu.Lock()
	for l.preparing {
		l.idle.Wait()
	}
	have, err := l.spare != nil, l.noSpare
	l.mu.Unlock()
	if have || err != nil {
		return err
	}
	l.makeSpare()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noSpare
}

// makeSpare makes the next segment, if there is none. While it cannot be made,
// the log refuses new mail.
func (l *recordLog) makeSpare() {
	l.mu.Lock()
	if l.spare != nil || l.preparing {
		l.mu.Unlock()
		return
	}
	l.preparing = true
	l.mu.Unlock()

	f, err := l.newSpare(l.segmentSize)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.preparing = false
	if err == nil {
		l.spare = f
	} else if l.noSpare == nil {
		l.logger.Error("spool: no room for another segment, new mail is refused", "error", err)
	}
	l.noSpare = diskError(err)
	l.idle.Broadcast()
}
