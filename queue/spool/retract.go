package spool

// A commit that fails may leave records behind the segment's end, whole ones
// even: a sync that reports an error has written what it could. Recovery would
// take them for a commit that nobody had the answer of, and deliver messages
// that were refused. Two things keep them from counting. For good, the next
// segment's header does, which says where this one ends; it is begun by the
// same commit, or by the next, and after a failure flush sees to it that there
// is a next one. Where no segment can be begun (no descriptor, no room), the
// header of the first such record is wiped out.

// retract wipes out what the batch that failed has left in the active segment.
// Where the disk does not take that either, the next commit tries again.
func (s *Spool) retract() {
	g := s.active
	if g == nil || !g.suspect || g.wiped {
		return
	}
	// Without its first record a batch counts as torn (scanSegment). The pages
	// are written anew, so that this sync tells the truth about them.
	err := g.file.WriteAt([][]byte{make([]byte, headerLen)}, g.end)
	if err == nil {
		err = g.file.Sync()
	}
	if err != nil && s.broken == nil { // said once
		s.log.Error("spool: refused mail may come back if the process ends before the disk works again", "segment", g.path, "error", err)
	}
	g.wiped = err == nil
}
