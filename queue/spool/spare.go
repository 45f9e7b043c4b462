package spool

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// spareName is the name of the file for the next segment.
const spareName = "spare"

// spareMagic is at the start of a spare that is complete. A dead segment that has
// become the spare has its old header.
var spareMagic = [8]byte{'B', 'H', 's', 'p', 'a', 'r', 'e'}

// newSpare creates a file of zeros in the log directory. Because of the zeros, a
// commit overwrites existing blocks. So it changes no metadata, which halves the
// cost of its sync, and it needs no new disk space.
func (l *recordLog) newSpare(size int64) (file, error) {
	name := filepath.Join(l.dir, spareName)
	f, off, err := l.unfinishedSpare(name, size)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for ; off < size && err == nil; off += int64(len(zeros)) {
		err = f.WriteAt([][]byte{zeros[:min(int64(len(zeros)), size-off)]}, off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil { // now it is complete
		err = f.WriteAt([][]byte{spareMagic[:]}, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.fs.SyncDir(l.dir) // mail may use the room for dispositions now
	}
	if err != nil {
		f.Close()
		l.fs.Remove(name)
		return nil, err
	}
	return f, nil
}

// unfinishedSpare opens a spare that a process had not completed when it died, or
// creates one. off is where the zeros end. Without this, processes that all die soon
// would never complete a spare.
func (l *recordLog) unfinishedSpare(name string, size int64) (f file, off int64, err error) {
	if f, err := l.fs.Open(name, write); err == nil {
		b := make([]byte, len(spareMagic))
		n, _ := f.ReadAt(b, 0)
		if off, err = f.Size(); err == nil && n == len(b) && off <= size && [8]byte(b) == [8]byte{} {
			return f, off, nil
		}
		f.Close()
	}
	if err := l.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	f, err = l.fs.Open(name, create)
	return f, 0, err
}

// openSpare takes over the spare of the last process if it is complete. Otherwise the
// next spare replaces the file.
func (l *recordLog) openSpare() {
	f, err := l.fs.Open(filepath.Join(l.dir, spareName), write)
	if err != nil {
		return
	}
	size, err := f.Size()
	if err == nil { // otherwise after a power failure it may have its earlier name again
		err = l.fs.SyncDir(l.dir)
	}
	if err == nil && size == l.segmentSize && l.complete(f) {
		l.spare = f
		return
	}
	f.Close()
}

// complete reports whether a spare has all its zeros, or is an earlier segment. It must
// not be one that still exists under its own name, nor one whose number may be used
// again: then its records could be taken for new ones.
func (l *recordLog) complete(f file) bool {
	b := make([]byte, segmentHeaderLen)
	if n, _ := f.ReadAt(b, 0); n < len(b) {
		return false
	}
	h, ok := parseSegmentHeader(b)
	if !ok {
		return [8]byte(b) == spareMagic
	}
	return h.key == l.key && h.number < uint64(l.nextNumber) && l.segments[uint32(h.number)] == nil
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
	if err != nil {
		l.failures.Add(1)
	}
	l.setNoSpare(err)
	l.idle.Broadcast()
}

// setNoSpare records why there is no spare, nil if there is one. It logs when new mail is
// refused, and when it is accepted again. The caller has locked mu.
func (l *recordLog) setNoSpare(err error) {
	switch {
	case err != nil && l.noSpare == nil:
		l.logger.Error("spool: "+cannotMakeSpare(err)+", new mail is refused", "bytes", l.segmentSize, "error", err)
	case err == nil && l.noSpare != nil:
		l.logger.Info("spool: there is room for another segment, new mail is accepted")
	}
	l.noSpare = err
}

// cannotMakeSpare describes an error of newSpare.
func cannotMakeSpare(err error) string {
	if errors.Is(err, queue.ErrFull) {
		return "no room for another segment"
	}
	return "cannot create another segment"
}
