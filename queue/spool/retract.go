package spool

// A commit that fails may leave records behind the segment's end, even whole
// ones: a sync that reports an error has written what it could. Recovery would
// take them for an unanswered commit, and deliver messages that were refused.
// Two measures prevent that. The permanent one is the header of the next
// segment, which says where this one ends. The same commit begins that
// segment, or the next commit does: after a failure, flush makes sure that
// there is a next one. Where no segment can be begun (no descriptor, no room),
// retract overwrites the header of the first such record.

// retract overwrites what the failed batch has left in the active segment. If
// the disk does not take that either, the next commit tries again.
func (l *recordLog) retract() {
	g := l.active
	if g == nil || !g.suspect || g.wiped {
		return
	}
	// Without its first record a batch counts as torn (scanSegment). The pages
	// are written again, so that the result of this sync can be trusted.
	err := g.file.WriteAt([][]byte{make([]byte, headerLen)}, g.end)
	if err == nil {
		err = g.file.Sync()
	}
	if err != nil && l.broken == nil { // logged once
		l.logger.Error("spool: refused mail may come back if the process ends before the disk works again", "segment", g.path, "error", err)
	}
	g.wiped = err == nil
}
