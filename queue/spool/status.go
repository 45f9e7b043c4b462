package spool

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// StoreStats implements queue.StoreReporter. Err is why the spool refuses new
// messages or cannot record: the disk is full, is mounted read-only, or the last
// commit has failed. The spool tries again at least every second. A disk
// that is full is not an error as long as the spool has files with room: it makes
// the next file before it accepts mail that needs it. Free is the space of the file
// system that users other than root may use.
func (s *Spool) StoreStats() queue.StoreStats {
	st := queue.StoreStats{Free: -1, Err: s.index.err(),
		CommitDuration: s.log.stats.duration.Snapshot(), CommitMessages: s.log.stats.messages.Snapshot()}
	if st.Err == nil {
		st.Err = s.log.cannotWrite()
	}
	if _, real := s.fs.(osFS); !real {
		return st
	}
	free, readOnly, err := diskFree(s.dir)
	if err == nil {
		st.Free = free
	}
	if readOnly && st.Err == nil {
		st.Err = fmt.Errorf("%w: the file system is mounted read-only", queue.ErrReadOnly)
	}
	return st
}

// cannotWrite returns why the log refuses new messages or could not write the last
// commit, nil if it can write.
func (l *recordLog) cannotWrite() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	return l.refusesMail()
}
