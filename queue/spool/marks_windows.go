package spool

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// mapMarks clears or creates the file and maps it into memory.
func mapMarks(name string) (mem []byte, unmap func() error, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, markSlots*8), 0); err != nil {
		return nil, nil, err
	}
	m, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READWRITE, 0, markSlots*8, nil)
	if err != nil {
		return nil, nil, &os.PathError{Op: "CreateFileMapping", Path: name, Err: err}
	}
	addr, err := windows.MapViewOfFile(m, windows.FILE_MAP_WRITE, 0, 0, markSlots*8)
	if err != nil {
		windows.CloseHandle(m)
		return nil, nil, &os.PathError{Op: "MapViewOfFile", Path: name, Err: err}
	}
	mem = unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), markSlots*8)
	return mem, func() error {
		return errors.Join(windows.UnmapViewOfFile(addr), windows.CloseHandle(m))
	}, nil
}
