package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A file system with copy-on-write (btrfs, ZFS) writes each block to a new place, also
// when a block is overwritten. So on a full disk it refuses to write to a segment
// although the segment is as long as before. The reserve is a file that the log deletes
// then, so that dispositions can be recorded: they end messages, which makes room.

// reserveName is the name of the reserve, in the directory of the spool.
const reserveName = "reserve"

// reserveShare is the size of the reserve and of a segment on a full disk, as a share of
// the size of a segment. With the default size of a segment it is 16 MiB.
const reserveShare = 4

func (l *recordLog) reserveFile() string { return filepath.Join(filepath.Dir(l.dir), reserveName) }

// makeReserve creates the reserve if there is none and there is room. Its bytes are
// random, so that no file system compresses them.
func (l *recordLog) makeReserve() {
	l.mu.Lock()
	need := !l.reserved && l.noSpare == nil && l.broken == nil
	l.mu.Unlock()
	if !need {
		return
	}
	name, size := l.reserveFile(), l.segmentSize/reserveShare
	if f, err := l.fs.Open(name, read); err == nil {
		have, err := f.Size()
		f.Close()
		if err == nil && have >= size {
			l.setReserved(true, nil)
			return
		}
	}
	l.fs.Remove(name)
	f, err := l.fs.Open(name, create)
	if err != nil {
		l.failures.Add(1)
		return // housekeeping tries again
	}
	b := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size && err == nil; off += int64(len(b)) {
		rand.Read(b)
		err = f.WriteAt([][]byte{b[:min(int64(len(b)), size-off)]}, off)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		l.failures.Add(1)
		l.fs.Remove(name)
		return
	}
	l.setReserved(true, nil)
}

// setReserved records whether there is a reserve. released is why it was deleted.
func (l *recordLog) setReserved(is bool, released error) {
	l.mu.Lock()
	l.reserved, l.released = is, released
	l.mu.Unlock()
}

// refusesMail returns why the log accepts no new messages, nil if it does. The caller
// has locked mu.
func (l *recordLog) refusesMail() error {
	if l.released != nil {
		return l.released
	}
	return l.noSpare
}

// releaseReserve deletes the reserve. It reports whether there was one.
func (l *recordLog) releaseReserve() bool {
	if l.fs.Remove(l.reserveFile()) != nil {
		return false
	}
	l.setReserved(false, fmt.Errorf("%w: the reserve was deleted", queue.ErrFull))
	l.fs.SyncDir(filepath.Dir(l.dir)) // some file systems free the space only then
	l.logger.Warn("spool: the disk is full, the reserve was deleted", "file", l.reserveFile())
	return true
}

// rotateFull begins a short segment for dispositions on a full disk. full is the error
// of rotate.
func (l *recordLog) rotateFull(size int64, full error) error {
	if !errors.Is(full, queue.ErrFull) {
		return full
	}
	l.releaseReserve()
	l.mu.Lock()
	if l.noSpare == nil {
		l.setNoSpare(full)
	}
	l.mu.Unlock()
	return l.rotateTo(size, l.segmentSize/(4*reserveShare))
}
