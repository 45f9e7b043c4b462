package memdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/internal/vfs"
)

// A Disk is the disk of one process. Lock it to use its fields while a program uses
// the disk.
type Disk struct {
	sync.Mutex // guards the fields below

	// Fail returns the error of a call, or nil if the call is made. It is called
	// with the lock held. Calls count from 1. op is open, rename, remove, mkdir,
	// readdir, syncdir, read, write, sync or stat. A nil Fail makes all calls.
	// If it returns ErrDied, the process dies: this call and all later ones have
	// no effect, and fail.
	Fail func(call int, op, name string) error
	// Calls is the number of calls so far.
	Calls int
	// Names are the files, as programs see them.
	Names map[string]*file
	// Capacity is how many bytes fit on the disk. A write that needs more fails with
	// ENOSPC. 0 is no limit.
	Capacity int64
	// CopyOnWrite makes the disk write each block that it overwrites to a new place,
	// as btrfs and ZFS do. The old block stays in use until its file is removed,
	// because it is a part of a larger extent.
	CopyOnWrite bool

	rnd   *rand.Rand
	dirs  map[string]bool
	kept  map[string]*file // the files as they are on the medium
	moves []move           // of names, since their directory was synced
	gone  bool             // the process has died: no call has an effect any more
}

// A move sets a name to a file, or to nothing.
type move struct {
	name string
	file *file
}

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

const (
	sector = 512
	block  = 4096
)

// ErrDied is the error with which Fail ends the process.
var ErrDied = errors.New("the process has died")

// Die ends the process: no later call has an effect.
func (d *Disk) Die() {
	d.Lock()
	defer d.Unlock()
	d.gone = true
}

// New returns an empty disk. The seed decides what a failure leaves.
func New(seed uint64) *Disk {
	return &Disk{
		rnd: rand.New(rand.NewPCG(seed, 1)), dirs: make(map[string]bool),
		Names: make(map[string]*file), kept: make(map[string]*file),
	}
}

// call counts a call and returns its error. The caller has locked d.
func (d *Disk) call(op, name string) error {
	d.Calls++
	if d.gone {
		return &os.PathError{Op: op, Path: name, Err: syscall.EIO}
	}
	if d.Fail == nil {
		return nil
	}
	if err := d.Fail(d.Calls, op, name); err != nil {
		d.gone = d.gone || err == ErrDied
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (d *Disk) set(name string, f *file) {
	if f == nil {
		delete(d.Names, name)
	} else {
		d.Names[name] = f
	}
	d.moves = append(d.moves, move{name, f})
}

func (d *Disk) Open(name string, mode vfs.Mode) (vfs.File, error) {
	d.Lock()
	defer d.Unlock()
	if err := d.call("open", name); err != nil {
		return nil, err
	}
	f := d.Names[name]
	switch {
	case mode == vfs.Create && f != nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrExist}
	case mode == vfs.Create:
		f = &file{name: name}
		d.set(name, f)
	case f == nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return &handle{d, f}, nil
}

func (d *Disk) Rename(from, to string) error {
	d.Lock()
	defer d.Unlock()
	if err := d.call("rename", from); err != nil {
		return err
	}
	f := d.Names[from]
	if f == nil {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	f.name = to
	d.set(to, f)
	d.set(from, nil)
	return nil
}

func (d *Disk) Remove(name string) error {
	d.Lock()
	defer d.Unlock()
	if err := d.call("remove", name); err != nil {
		return err
	}
	if d.Names[name] == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	d.set(name, nil)
	return nil
}

func (d *Disk) MkdirAll(name string) error {
	d.Lock()
	defer d.Unlock()
	err := d.call("mkdir", name)
	if err == nil {
		d.dirs[name] = true
	}
	return err
}

func (d *Disk) ReadDir(name string) ([]fs.DirEntry, error) {
	d.Lock()
	defer d.Unlock()
	if err := d.call("readdir", name); err != nil {
		return nil, err
	}
	var es []fs.DirEntry
	for n := range d.Names {
		if filepath.Dir(n) == name {
			es = append(es, entry(filepath.Base(n)))
		}
	}
	sort.Slice(es, func(i, j int) bool { return es[i].Name() < es[j].Name() })
	return es, nil
}

type entry string

func (e entry) Name() string             { return string(e) }
func (entry) IsDir() bool                { return false }
func (entry) Type() fs.FileMode          { return 0 }
func (entry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (d *Disk) SyncDir(name string) error {
	d.Lock()
	defer d.Unlock()
	if err := d.call("syncdir", name); err != nil {
		return err
	}
	var rest []move
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

func (d *Disk) keep(m move) {
	if m.file == nil {
		delete(d.kept, m.name)
	} else {
		d.kept[m.name] = m.file
	}
}

func (d *Disk) Adopt(f *os.File, name string) error { return errors.ErrUnsupported }

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

func writeAt(b, p []byte, off int64) []byte {
	if need := int(off) + len(p); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], p)
	return b
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

// List describes the files, for the messages of failing tests.
func (d *Disk) List() string {
	d.Lock()
	defer d.Unlock()
	var s strings.Builder
	for _, n := range slices.Sorted(maps.Keys(d.Names)) {
		fmt.Fprintf(&s, "%s: %d bytes\n", n, len(d.Names[n].now))
	}
	return s.String()
}
