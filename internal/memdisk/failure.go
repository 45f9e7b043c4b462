package memdisk

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
)

// ErrDied is the error with which Fail ends the process.
var ErrDied = errors.New("the process has died")

// Die ends the process: no later call has an effect.
func (d *Disk) Die() {
	d.Lock()
	defer d.Unlock()
	d.gone = true
}

// PowerFails returns the disk after a power failure. Calls on d have no effect any
// more: they fail.
func (d *Disk) PowerFails() *Disk {
	d.Lock()
	defer d.Unlock()
	d.gone = true
	for _, m := range d.moves {
		if d.rnd.IntN(2) == 0 {
			d.keep(m)
		}
	}
	after := New(d.rnd.Uint64())
	after.Capacity, after.CopyOnWrite = d.Capacity, d.CopyOnWrite
	after.dirs = maps.Clone(d.dirs)
	survivors := make(map[*file]*file)
	for _, name := range slices.Sorted(maps.Keys(d.kept)) { // in order, so that the seed decides
		f := d.kept[name]
		if survivors[f] == nil {
			f.tear(d.rnd)
			b := append([]byte(nil), f.kept...)
			survivors[f] = &file{name: name, now: b, kept: append([]byte(nil), b...), copied: maps.Clone(f.copied)}
		}
		after.Names[name] = survivors[f]
		after.kept[name] = survivors[f]
	}
	return after
}

// ProcessDies returns the disk after the death of the process that used it. The
// operating system keeps all that was written. Calls on d have no effect any more:
// they fail.
func (d *Disk) ProcessDies() *Disk {
	d.Lock()
	defer d.Unlock()
	d.gone = true
	after := New(d.rnd.Uint64())
	after.Capacity, after.CopyOnWrite = d.Capacity, d.CopyOnWrite
	after.dirs, after.Names, after.kept, after.moves = d.dirs, d.Names, d.kept, d.moves
	return after
}

const sector = 512 // bytes that the medium writes at once

// tear writes some sectors of the unsynced writes to the medium.
func (f *file) tear(rnd *rand.Rand) {
	for _, w := range f.writes {
		for len(w.b) > 0 {
			n := min(len(w.b), sector-int(w.off%sector))
			if rnd.IntN(2) == 0 {
				f.kept = writeAt(f.kept, w.b[:n], w.off)
			}
			w.b = w.b[n:]
			w.off += int64(n)
		}
	}
	f.writes = nil
}
