package spool

import "sync/atomic"

// counters are what the log counts for Stats.
type counters struct {
	commits, records, written, moved, deleted atomic.Int64
}

// Stats are figures of a spool since it was opened.
type Stats struct {
	Commits  int64 // syncs of the log
	Records  int64 // written by them
	Written  int64 // bytes written to the log, Moved included
	Moved    int64 // bytes that compaction wrote
	Deleted  int64 // segments deleted or reused
	Damaged  int64 // messages found damaged since recovery
	Segments int   // now
	Live     int64 // bytes of the log that are needed now
	Messages int   // now
}

// Stats returns the spool's figures.
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
