package spool

// durable applies a durable batch to the index and to the counts of the segments.
// It returns the sequence numbers of the messages that have ended and have a
// content file.
func (x *messageIndex) durable(recs []*record) (files []uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := x.log.account()
	defer a.done()
	for _, r := range recs {
		switch {
		case r.moved != nil:
			x.publishMove(a, r)
		case r.kind == kindMessage:
			x.entries.At(r.slot).Data.message = r.at
			a.retain(r.at)
			x.entries.Show(r.slot, r.schedule)
		case r.kind == kindState:
			x.publishState(a, r)
		case r.kind == kindChange:
			x.publishChange(a, r)
		case r.ended != nil:
			a.release(r.ended.message)
			a.release(r.ended.state)
			a.releaseAll(r.ended.changes)
			a.addRemoval(r.at.segment, r.ended.from)
			if r.ended.inFile {
				files = append(files, r.seq)
			}
		}
	}
	return files
}

// entry returns the index entry for a record, nil if the message has ended
// meanwhile. The caller has locked mu.
func (x *messageIndex) entry(r *record) *entry {
	if e := x.entries.At(r.slot); e.Data.seq == r.seq {
		return e
	}
	return nil
}

// publishState makes a durable state record the newest of its message.
func (x *messageIndex) publishState(a account, r *record) {
	e := x.entry(r)
	if e == nil {
		return
	}
	a.release(e.Data.state)
	e.Data.state = r.at
	a.retain(r.at)
	x.replaced(a, r.slot)
	if x.unsynced[r.slot] == r {
		delete(x.unsynced, r.slot)
	}
}

// publishMove makes a durable copy the record of its message.
func (x *messageIndex) publishMove(a account, r *record) {
	delete(x.moving, r.seq)
	a.moved(r.at.segment, r.moved.message.segment)
	e := x.entry(r)
	if e == nil {
		return
	}
	a.release(e.Data.message)
	e.Data.message = r.at
	a.retain(r.at)
	// The copy has the states and changes that were added to the log before it, and
	// no later one is on disk yet.
	a.release(e.Data.state)
	e.Data.state = loc{}
	x.replaced(a, r.slot)
}

// undone drops new messages and copies that could not be written. It ignores
// dispositions, which are written later.
func (x *messageIndex) undone(recs []*record) {
	if len(recs) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range recs {
		switch {
		case r.moved != nil:
			delete(x.moving, r.seq)
			r.at = loc{}
		case r.kind == kindMessage:
			x.entries.Delete(r.slot)
		}
	}
}
