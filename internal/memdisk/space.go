package memdisk

const block = 4096 // bytes, of CopyOnWrite

// Used is how many bytes of the Capacity are in use. The caller has locked d.
func (d *Disk) Used() (n int64) {
	for _, f := range d.Names {
		n += int64(len(f.now)) + block*int64(len(f.copied))
	}
	return n
}

// allocate finds room for a write of n bytes. It reports whether there is enough.
func (d *Disk) allocate(f *file, off, n int64) bool {
	need := max(0, off+n-int64(len(f.now)))
	var copied []int64
	if d.CopyOnWrite {
		for b := off / block; b*block < min(off+n, int64(len(f.now))); b++ {
			if !f.copied[b] {
				copied = append(copied, b)
				need += block
			}
		}
	}
	if d.Capacity > 0 && need > 0 && d.Used()+need > d.Capacity {
		return false
	}
	if f.copied == nil {
		f.copied = make(map[int64]bool)
	}
	for _, b := range copied {
		f.copied[b] = true
	}
	return true
}
