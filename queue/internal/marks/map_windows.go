package marks

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Map maps the first size bytes of a file into memory. The file must have them. f may be
// closed afterwards.
func Map(f *os.File, size int) (mem []byte, unmap func() error, err error) {
	m, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READWRITE, 0, uint32(size), nil)
	if err != nil {
		return nil, nil, &os.PathError{Op: "CreateFileMapping", Path: f.Name(), Err: err}
	}
	addr, err := windows.MapViewOfFile(m, windows.FILE_MAP_WRITE, 0, 0, uintptr(size))
	if err != nil {
		windows.CloseHandle(m)
		return nil, nil, &os.PathError{Op: "MapViewOfFile", Path: f.Name(), Err: err}
	}
	mem = unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size)
	return mem, func() error {
		return errors.Join(windows.UnmapViewOfFile(addr), windows.CloseHandle(m))
	}, nil
}
