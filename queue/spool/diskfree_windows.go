package spool

import "golang.org/x/sys/windows"

// diskFree returns the free bytes of the volume of dir for the user of the process.
// Whether the volume is read-only is not known here.
func diskFree(dir string) (free int64, readOnly bool, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false, err
	}
	var n uint64
	err = windows.GetDiskFreeSpaceEx(name, &n, nil, nil)
	return int64(min(n, 1<<63-1)), false, err
}
