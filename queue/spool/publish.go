package spool

// publish enters a batch that is durable now into the index and the segments'
// accounts. s.mu is held.
func (s *Spool) publish(recs []*record) {
	g := s.active
	for _, r := range recs {
		switch {
		case r.moved != nil:
			s.publishMove(g, r)
		case r.kind == kindMessage:
			e := s.index.At(r.slot)
			e.Data.message = r.at
			g.live += int64(r.at.size)
			s.index.Show(r.slot, r.schedule)
		case r.kind == kindState:
			s.publishState(g, r)
		case r.ended != nil:
			s.publishRemoval(g, r)
		}
	}
}

// entry is the index entry that a record was made for, nil when the message
// has ended since.
func (s *Spool) entry(r *record) *entry {
	if e := s.index.At(r.slot); e.Data.seq == r.seq {
		return e
	}
	return nil
}

func (s *Spool) publishState(g *segment, r *record) {
	e := s.entry(r)
	if e == nil {
		return
	}
	s.release(e.Data.state)
	e.Data.state = r.at
	g.live += int64(r.at.size)
	if s.unsynced[r.slot] == r {
		delete(s.unsynced, r.slot)
	}
}

func (s *Spool) publishMove(g *segment, r *record) {
	delete(s.moving, r.seq)
	g.sources[r.moved.message.segment] = true
	e := s.entry(r)
	if e == nil {
		return
	}
	s.release(e.Data.message)
	e.Data.message = r.at
	g.live += int64(r.at.size)
	if e.Data.state == r.moved.state { // the copy has it
		s.release(e.Data.state)
		e.Data.state = loc{}
	}
}

func (s *Spool) publishRemoval(g *segment, r *record) {
	s.release(r.ended.message)
	s.release(r.ended.state)
	if s.segments[r.ended.grave] != nil {
		g.graves[r.ended.grave]++
	}
	if r.ended.inFile {
		s.trash = append(s.trash, r.seq)
		s.kick()
	}
}

// release takes a record out of its segment's account.
func (s *Spool) release(l loc) {
	g := s.segments[l.segment]
	if g == nil {
		return
	}
	if g.live -= int64(l.size); g.live == 0 && g != s.active {
		s.kick()
	}
}

// unpublish undoes what records that could not be written had promised.
// Dispositions were promised without condition: they wait for the next
// commit. s.mu is held.
func (s *Spool) unpublish(recs []*record, err error) {
	var again []*record
	for _, r := range recs {
		switch {
		case r.moved != nil:
			delete(s.moving, r.seq)
			r.at = loc{}
		case r.kind == kindMessage:
			s.index.Delete(r.slot)
		default:
			again = append(again, r)
		}
	}
	if len(again) == 0 {
		return
	}
	rest := s.pending
	s.pending = batch{waiters: rest.waiters}
	for _, r := range append(again, rest.recs...) {
		s.pending.add(r)
	}
	if s.broken == nil {
		s.log.Error("spool: dispositions cannot be recorded", "count", len(again), "error", err)
	}
}
