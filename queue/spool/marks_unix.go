//go:build unix

package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapMarks clears or creates the file and maps it into memory.
func mapMarks(name string) (mem []byte, unmap func() error, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	// Write the file instead of extending it, so that every page has a block on
	// disk.
	if _, err := f.WriteAt(make([]byte, markSlots*8), 0); err != nil {
		return nil, nil, err
	}
	mem, err = unix.Mmap(int(f.Fd()), 0, markSlots*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, &os.PathError{Op: "mmap", Path: name, Err: err}
	}
	return mem, func() error { return unix.Munmap(mem) }, nil
}
