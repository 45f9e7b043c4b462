package spool

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// spareName is the name of the file for the next segment.
const spareName = "spare"

// newSpare creates a file of zeros in the log directory. Because of the zeros, a
// commit overwrites existing blocks. So it changes no metadata, which halves the
// cost of its sync, and it needs no new disk space.
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

// prepareSpare makes a spare when half of the active segment is used. Until then a
// dead segment may become the spare, which needs no writing.
func (l *recordLog) prepareSpare() {
	l.mu.Lock()
	soon := l.used.Load() >= l.segmentSize/2 || l.noSpare != nil
	l.mu.Unlock()
	if soon {
		l.makeSpare()
	}
}

// needSpare returns when there is a spare. If necessary it makes one. If there is no
// room, it returns an error, and housekeeping tries again.
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

// makeSpare makes a spare if there is none. While that fails, the log refuses new
// mail.
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
	}
	err = diskError(err)
	if err != nil && l.noSpare == nil {
		l.logger.Error("spool: "+cannotMakeSpare(err)+", new mail is refused", "error", err)
	}
	l.noSpare = err
	l.idle.Broadcast()
}

// cannotMakeSpare describes an error of newSpare.
func cannotMakeSpare(err error) string {
	if errors.Is(err, queue.ErrFull) {
		return "no room for another segment"
	}
	return "cannot create another segment"
}
