package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

// A simFS is a disk in memory that can fail any call and lose its power. It guarantees
// no more than a real disk: Written bytes survive if the file was synced later, and
// names survive if their directory was synced later. Of everything else any part may
// survive, in any order, torn at any sector.
type simFS struct {
	mu    sync.Mutex
	rnd   *rand.Rand
	dirs  map[string]bool
	names map[string]*simFile // as programs see them
	kept  map[string]*simFile // as they are on the medium
	moves []simMove           // of names, since their directory was synced
	calls int                 // made so far
	fail  func(call int, op, name string) error
}

// A simMove sets a name to a file, or to nothing.
type simMove struct {
	name string
	file *simFile
}

type simFile struct {
	name   string // for messages
	now    []byte // as programs see it
	kept   []byte // as it is on the medium
	writes []simWrite
}

type simWrite struct {
	off int64
	b   []byte
}

const sector = 512

func newSimFS(seed uint64) *simFS {
	return &simFS{
		rnd: rand.New(rand.NewPCG(seed, 1)), dirs: make(map[string]bool),
		names: make(map[string]*simFile), kept: make(map[string]*simFile),
	}
}

// call counts a call and returns its error. The caller has locked d.mu.
func (d *simFS) call(op, name string) error {
	d.calls++
	if d.fail == nil {
		return nil
	}
	if err := d.fail(d.calls, op, name); err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (d *simFS) set(name string, f *simFile) {
	if f == nil {
		delete(d.names, name)
	} else {
		d.names[name] = f
	}
	d.moves = append(d.moves, simMove{name, f})
}

func (d *simFS) Open(name string, mode openMode) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("open", name); err != nil {
		return nil, err
	}
	f := d.names[name]
	switch {
	case mode == create && f != nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrExist}
	case mode == create:
		f = &simFile{name: name}
		d.set(name, f)
	case f == nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return &simHandle{d, f}, nil
}

func (d *simFS) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("rename", from); err != nil {
		return err
	}
	f := d.names[from]
	if f == nil {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	f.name = to
	d.set(to, f)
	d.set(from, nil)
	return nil
}

func (d *simFS) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("remove", name); err != nil {
		return err
	}
	if d.names[name] == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	d.set(name, nil)
	return nil
}

func (d *simFS) MkdirAll(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs[name] = true
	return d.call("mkdir", name)
}

func (d *simFS) ReadDir(name string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("readdir", name); err != nil {
		return nil, err
	}
	var es []fs.DirEntry
	for n := range d.names {
		if filepath.Dir(n) == name {
			es = append(es, simEntry(filepath.Base(n)))
		}
	}
	sort.Slice(es, func(i, j int) bool { return es[i].Name() < es[j].Name() })
	return es, nil
}

type simEntry string

func (e simEntry) Name() string             { return string(e) }
func (simEntry) IsDir() bool                { return false }
func (simEntry) Type() fs.FileMode          { return 0 }
func (simEntry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (d *simFS) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncdir", name); err != nil {
		return err
	}
	var rest []simMove
	for _, m := range d.moves {
		if filepath.Dir(m.name) == name {
			d.keep(m)
		} else {
			rest = append(rest, m)
		}
	}
	d.moves = rest
	return nil
}

func (d *simFS) keep(m simMove) {
	if m.file == nil {
		delete(d.kept, m.name)
	} else {
		d.kept[m.name] = m.file
	}
}

func (d *simFS) Adopt(f *os.File, name string) error { return errors.ErrUnsupported }

// powerFails returns the disk after a power failure.
func (d *simFS) powerFails() *simFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.moves {
		if d.rnd.IntN(2) == 0 {
			d.keep(m)
		}
	}
	after := newSimFS(d.rnd.Uint64())
	after.dirs = d.dirs
	survivors := make(map[*simFile]*simFile)
	for name, f := range d.kept {
		if survivors[f] == nil {
			f.tear(d.rnd)
			b := append([]byte(nil), f.kept...)
			survivors[f] = &simFile{name: name, now: b, kept: append([]byte(nil), b...)}
		}
		after.names[name] = survivors[f]
		after.kept[name] = survivors[f]
	}
	return after
}

// tear writes some sectors of the unsynced writes to the medium.
func (f *simFile) tear(rnd *rand.Rand) {
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

func writeAt(b, p []byte, off int64) []byte {
	if need := int(off) + len(p); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], p)
	return b
}

type simHandle struct {
	d *simFS
	f *simFile
}

func (h *simHandle) ReadAt(b []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
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
func (h *simHandle) WriteAt(bufs [][]byte, off int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	var b []byte
	for _, p := range bufs {
		b = append(b, p...)
	}
	err := h.d.call("write", h.f.name)
	if err != nil {
		b = b[:h.d.rnd.IntN(len(b)+1)]
	}
	h.f.now = writeAt(h.f.now, b, off)
	h.f.writes = append(h.f.writes, simWrite{off, b})
	return err
}

// Sync loses some of the writes if it fails, and the next Sync does not report this.
func (h *simHandle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("sync", h.f.name); err != nil {
		h.f.tear(h.d.rnd)
		return err
	}
	for _, w := range h.f.writes {
		h.f.kept = writeAt(h.f.kept, w.b, w.off)
	}
	h.f.writes = nil
	return nil
}

func (h *simHandle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.f.now)), h.d.call("stat", h.f.name)
}

func (h *simHandle) Close() error { return nil }

// list describes the files, for the messages of failing tests.
func (d *simFS) list() string {
	var s strings.Builder
	for n, f := range d.names {
		fmt.Fprintf(&s, "%s: %d bytes\n", n, len(f.now))
	}
	return s.String()
}
