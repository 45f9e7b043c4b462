package memdisk

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writeFile creates a file with one synced and one unsynced write of a sector each.
func writeFile(t *testing.T, d *Disk, name string) vfs.File {
	t.Helper()
	f, err := d.Open(name, vfs.Create)
	if err == nil {
		err = errors.Join(f.WriteAt([][]byte{make([]byte, sector)}, 0), f.Sync(), d.SyncDir("dir"),
			f.WriteAt([][]byte{make([]byte, sector)}, sector))
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// After the death of a process the disk has all that the process wrote. What the dead
// process calls has no effect.
func TestProcessDies(t *testing.T) {
	d := New(1)
	f := writeFile(t, d, "dir/a")
	after := d.ProcessDies()
	if err := f.WriteAt([][]byte{{1}}, 2*sector); err == nil {
		t.Error("a dead process can write")
	}
	if _, err := d.Open("dir/b", vfs.Create); err == nil {
		t.Error("a dead process can create a file")
	}
	if got := after.List(); got != "dir/a: 1024 bytes\n" {
		t.Errorf("the next process finds %q", got)
	}
}

// After a power failure the disk has what was synced, and any part of the rest. The
// seed decides which part.
func TestPowerFails(t *testing.T) {
	lists := map[string]int{}
	for seed := range uint64(100) {
		var got [2]string
		for i := range got {
			d := New(seed)
			f := writeFile(t, d, "dir/a")
			writeFile(t, d, "dir/b")
			if err := d.Remove("dir/b"); err != nil {
				t.Fatal(err)
			}
			after := d.PowerFails()
			if err := f.Sync(); err == nil {
				t.Error("a process can sync without power")
			}
			got[i] = after.List()
		}
		if got[0] != got[1] {
			t.Errorf("seed %d: %q and %q", seed, got[0], got[1])
		}
		lists[got[0]]++
	}
	for _, a := range []int{512, 1024} {
		for _, b := range []string{"", "dir/b: 512 bytes\n", "dir/b: 1024 bytes\n"} {
			want := fmt.Sprintf("dir/a: %d bytes\n%s", a, b)
			if lists[want] == 0 {
				t.Errorf("never %q", want)
			}
			delete(lists, want)
		}
	}
	if len(lists) > 0 {
		t.Errorf("what was synced is lost: %q", lists)
	}
}

// A write that does not fit fails and changes nothing. On a disk with copy-on-write, so
// does an overwrite.
func TestCapacity(t *testing.T) {
	for _, cow := range []bool{false, true} {
		d := New(1)
		f := writeFile(t, d, "dir/a")
		if err := f.WriteAt([][]byte{make([]byte, 3*block)}, 0); err != nil {
			t.Fatal(err)
		}
		d.Capacity, d.CopyOnWrite = 5*block, cow
		write := func(off, n int64) bool {
			err := f.WriteAt([][]byte{make([]byte, n)}, off)
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("copy-on-write %v: %v", cow, err)
			}
			return err == nil
		}
		if !write(block, 10) || !write(block+5, 20) { // one block is overwritten
			t.Errorf("copy-on-write %v: a write that fits fails", cow)
		}
		if got := write(0, 3*block); got != !cow { // two more blocks
			t.Errorf("copy-on-write %v: overwriting all succeeds: %v", cow, got)
		}
		if write(3*block, 3*block) {
			t.Errorf("copy-on-write %v: a write that does not fit succeeds", cow)
		}
		if got := d.List(); got != "dir/a: 12288 bytes\n" {
			t.Errorf("the disk has %q", got)
		}
	}
}
