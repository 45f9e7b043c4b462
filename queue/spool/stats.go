package spool

import (
	"sync/atomic"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
)

// logCounters are the counters of a log for Stats.
type logCounters struct {
	commits, records, written, moved, deleted atomic.Int64
	duration                                  counters.Histogram // of commits
	messages                                  counters.Histogram // new ones in a commit
}

// Stats are the statistics of a spool since it was opened.
type Stats struct {
	Commits  int64 // commits, each with a sync of the log
	Records  int64 // records in these commits
	Written  int64 // bytes written to the log, including Moved
	Moved    int64 // bytes written by compaction
	Deleted  int64 // segments deleted or reused
	Damaged  int64 // messages found damaged after recovery
	Segments int   // segments now
	Live     int64 // bytes of the log that are needed now
	Messages int   // messages now
}

// Stats returns the statistics of the spool.
func (s *Spool) Stats() Stats {
	l := s.log
	st := Stats{
		Commits: l.stats.commits.Load(), Records: l.stats.records.Load(), Written: l.stats.written.Load(),
		Moved: l.stats.moved.Load(), Deleted: l.stats.deleted.Load(), Damaged: s.damaged.Load(),
		Messages: s.index.len(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Segments = len(l.segments)
	for _, g := range l.segments {
		st.Live += g.live
	}
	return st
}
