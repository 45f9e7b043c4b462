package spool

import "errors"

// resume makes the last recovered segment the active one. So a process that dies soon
// does not leave a segment that is nearly empty, and needs no disk space to start.
//
// The last process may have died before it synced its last commit, or after its sync
// failed. So resume writes that commit again. It also erases what is left after the
// end, so that records of a torn commit do not come back after new ones.
func (l *recordLog) resume() error {
	last := l.newest()
	if last == nil || last.closed || last.suspect || last.keep || !last.intact || last.end >= last.capacity {
		return errors.New("spool: the last segment cannot be continued")
	}
	f, err := l.fs.Open(last.path, write)
	if err != nil {
		return diskError(err)
	}
	if err := last.raiseVersion(f); err != nil {
		f.Close()
		return diskError(err)
	}
	err = errors.Join(rewrite(f, last.lastBatch, last.end), last.erase(f))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.fs.SyncDir(l.dir) // the last process may have died before it did so
	}
	if err != nil {
		f.Close()
		return diskError(err)
	}
	last.file.Close()
	last.file, last.writable = f, true
	l.active = last
	l.used.Store(last.end)
	return nil
}

// raiseVersion makes the header of the segment say that it has the version of this
// program, so that an older program does not read the new records.
func (g *segment) raiseVersion(f file) error {
	h, ok := g.header()
	if !ok || h.version >= version {
		return nil
	}
	h.version = version
	if err := f.WriteAt([][]byte{h.encode()}, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	g.version = version
	return nil
}

// rewrite writes a part of a file again, so that the next sync makes it durable also if
// an earlier sync has failed.
func rewrite(f file, from, to int64) error {
	w := window{file: f, size: to}
	for from < to {
		n := min(to-from, windowSize)
		b := w.at(from, n)
		if w.err != nil {
			return w.err
		}
		if err := f.WriteAt([][]byte{b}, from); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// erase overwrites the headers of records after the end of the segment.
func (g *segment) erase(f file) error {
	zeros := make([]byte, headerLen)
	sc := newScanner(f, g.capacity, g.salt)
	for off := g.end; off >= 0 && off+headerLen <= g.capacity; off = sc.nextHeader(off, g.searchEnd()) {
		if err := f.WriteAt([][]byte{zeros}, off); err != nil {
			return err
		}
		sc.buf = nil // it has the header
	}
	return sc.err
}
