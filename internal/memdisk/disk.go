package memdisk

import (
	"errors"
	"fmt"
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
