package memdisk

import (
	"io"
	"os"
	"syscall"
)

type file struct {
	name   string // for messages
	now    []byte // as programs see it
	kept   []byte // as it is on the medium
	writes []write
	copied map[int64]bool // blocks that have a new place, see CopyOnWrite
}

type write struct {
	off int64
	b   []byte
}

type handle struct {
	d *Disk
	f *file
}

func (h *handle) ReadAt(b []byte, off int64) (int, error) {
	h.d.Lock()
	defer h.d.Unlock()
	if err := h.d.call("read", h.f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(h.f.now)) {
		return 0, io.EOF
	}
	n := copy(b, h.f.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes only a part of the bytes if it fails.
func (h *handle) WriteAt(bufs [][]byte, off int64) error {
	h.d.Lock()
	defer h.d.Unlock()
	var b []byte
	for _, p := range bufs {
		b = append(b, p...)
	}
	err := h.d.call("write", h.f.name)
	if h.d.gone {
		return err
	}
	if err == nil && !h.d.allocate(h.f, off, int64(len(b))) {
		return &os.PathError{Op: "write", Path: h.f.name, Err: syscall.ENOSPC}
	}
	if err != nil {
		b = b[:h.d.rnd.IntN(len(b)+1)]
	}
	h.f.now = writeAt(h.f.now, b, off)
	h.f.writes = append(h.f.writes, write{off, b})
	return err
}

// Sync loses some of the writes if it fails, and the next Sync does not report this.
func (h *handle) Sync() error {
	h.d.Lock()
	defer h.d.Unlock()
	if err := h.d.call("sync", h.f.name); err != nil {
		if h.d.gone {
			return err
		}
		h.f.tear(h.d.rnd)
		return err
	}
	for _, w := range h.f.writes {
		h.f.kept = writeAt(h.f.kept, w.b, w.off)
	}
	h.f.writes = nil
	return nil
}

func (h *handle) Size() (int64, error) {
	h.d.Lock()
	defer h.d.Unlock()
	return int64(len(h.f.now)), h.d.call("stat", h.f.name)
}

func (h *handle) Close() error { return nil }

func writeAt(b, p []byte, off int64) []byte {
	if need := int(off) + len(p); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], p)
	return b
}
