package spool

// durable enters a batch that is durable into the index and into the accounts
// of the segments. It returns the sequence numbers of messages that have ended
// and whose content is in a file.
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
			a.hold(r.at)
			x.entries.Show(r.slot, r.schedule)
		case r.kind == kindState:
			x.publishState(a, r)
		case r.ended != nil:
			a.release(r.ended.message)
			a.release(r.ended.state)
			a.bury(r.at.segment, r.ended.grave)
			if r.ended.inFile {
				files = append(files, r.seq)
			}
		}
	}
	return files
}

// entry is the index entry that a record was made for, nil when the message
// has ended since. The caller holds mu.
func (x *messageIndex) entry(r *record) *entry {
	if e := x.entries.At(r.slot); e.Data.seq == r.seq {
		return e
	}
	return nil
}

func (x *messageIndex) publishState(a account, r *record) {
	e := x.entry(r)
	if e == nil {
		return
	}
	a.release(e.Data.state)
	e.Data.state = r.at
	a.hold(r.at)
	if x.unsynced[r.slot] == r {
		delete(x.unsynced, r.slot)
	}
}

func (x *messageIndex) publishMove(a account, r *record) {
	delete(x.moving, r.seq)
	a.moved(r.at.segment, r.moved.message.segment)
	e := x.entry(r)
	if e == nil {
		return
	}
	a.release(e.Data.message)
	e.Data.message = r.at
	a.hold(r.at)
	if e.Data.state == r.moved.state { // the copy has it
		a.release(e.Data.state)
		e.Data.state = loc{}
	}
}

// undone takes back new messages and copies that could not be written.
// Dispositions among recs are written later.
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
