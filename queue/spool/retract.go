package spool

// A commit that fails may leave records after the end of the segment, also complete
// ones: a sync that reports an error may have written part of the data. Recovery
// could not distinguish them from a commit that succeeded just before a crash, and
// would deliver messages that were refused. Two measures prevent that. The permanent
// one is the header of the next segment, which has the end of this one. The same
// commit begins that segment, or the next commit does so; after a failure, flush
// starts a next commit. If no segment can be begun (no file descriptor, no room),
// retract overwrites the header of the first such record.

// retract overwrites what the failed batch has left in the active segment. If that
// fails too, the next commit tries again.
func (l *recordLog) retract() {
	g := l.active
	if g == nil || !g.suspect || g.wiped {
		return
	}
	// A batch without its first record counts as torn (see scanner). This write
	// makes the pages dirty again, so the result of this sync can be trusted.
	err := g.file.WriteAt([][]byte{make([]byte, headerLen)}, g.end)
	if err == nil {
		err = g.file.Sync()
	}
	if err != nil && l.broken == nil { // logged once
		l.logger.Error("spool: refused mail may come back if the process ends before the disk works again", "segment", g.path, "error", err)
	}
	g.wiped = err == nil
}
