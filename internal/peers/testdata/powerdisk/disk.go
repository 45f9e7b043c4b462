package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A disk is the file.
type disk struct {
	fs.Inode
	flush time.Duration // how long a sync takes

	mu       sync.Mutex // guards all below
	now      []byte     // as the operating system sees it
	durable  []byte     // what survives a power cut
	unsynced []write    // not durable yet
	writes   int        // number of writes so far
	off      bool       // there is no power
}

type write struct {
	number int
	off    int64
	data   []byte
}

var (
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
)

func newDisk(size int, flush time.Duration) *disk {
	return &disk{flush: flush, now: make([]byte, size), durable: make([]byte, size)}
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(len(d.now))
	return 0
}

// Setattr changes nothing: the disk keeps its size.
func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, f, out)
}

// Open makes all calls direct: the page cache of the kernel must not hide a power cut.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (d *disk) Read(_ context.Context, _ fs.FileHandle, to []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, syscall.EIO
	}
	n := copy(to, d.now[min(off, int64(len(d.now))):])
	return fuse.ReadResultData(to[:n]), 0
}

func (d *disk) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return 0, syscall.EIO
	}
	if off >= int64(len(d.now)) {
		return 0, syscall.ENOSPC
	}
	n := copy(d.now[off:], data)
	d.writes++
	d.unsynced = append(d.unsynced, write{d.writes, off, append([]byte(nil), data[:n]...)}) // data is used again
	return uint32(n), 0
}

// Fsync makes the writes durable that were made before it began.
func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	last := d.writes
	d.mu.Unlock()
	time.Sleep(d.flush)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return syscall.EIO
	}
	for len(d.unsynced) > 0 && d.unsynced[0].number <= last {
		w := d.unsynced[0]
		copy(d.durable[w.off:], w.data)
		d.unsynced = d.unsynced[1:]
	}
	return 0
}

// cut switches the power off. Unsynced writes survive sector by sector, so writes are
// torn, and later ones can survive without earlier ones. Sectors have 512 or 4096 bytes.
// Sometimes none survives, or all do.
func (d *disk) cut(seed uint64) (kept, all int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	rnd := rand.New(rand.NewPCG(seed, 0))
	sector := []int{512, 4096}[rnd.IntN(2)]
	chance := []float64{0, 1, rnd.Float64(), rnd.Float64()}[rnd.IntN(4)]
	for _, w := range d.unsynced {
		for at := 0; at < len(w.data); at += sector {
			all++
			if rnd.Float64() < chance {
				kept++
				copy(d.durable[w.off+int64(at):], w.data[at:min(at+sector, len(w.data))])
			}
		}
	}
	d.unsynced = nil
	copy(d.now, d.durable)
	return kept, all
}

func (d *disk) powerOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = false
}
