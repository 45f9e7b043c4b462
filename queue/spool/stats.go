package spool

import "sync/atomic"

// counters are what Stats reads.
type counters struct {
	commits, records, written, moved, deleted, damaged atomic.Int64
}

// Stats are figures of a spool since it was opened, and how it stands.
type Stats struct {
	Commits  int64 // syncs of the log
	Records  int64 // written by them
	Written  int64 // bytes written to the log, Moved included
	Moved    int64 // bytes that compaction wrote
	Deleted  int64 // segments that were given up
	Damaged  int64 // messages that were found damaged since recovery
	Segments int   // now
	Live     int64 // bytes of the log that are needed
	Messages int
}

// Stats are the spool's figures.
func (s *Spool) Stats() Stats {
	st := Stats{
		Commits: s.stats.commits.Load(), Records: s.stats.records.Load(), Written: s.stats.written.Load(),
		Moved: s.stats.moved.Load(), Deleted: s.stats.deleted.Load(), Damaged: s.stats.damaged.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Segments, st.Messages = len(s.segments), s.index.Len()
	for _, g := range s.segments {
		st.Live += g.live
	}
	return st
}
