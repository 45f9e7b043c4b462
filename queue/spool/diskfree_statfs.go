//go:build linux || darwin || freebsd

package spool

import "golang.org/x/sys/unix"

// diskFree returns the free bytes of the file system of dir for users other than
// root, and whether it is mounted read-only.
func diskFree(dir string) (free int64, readOnly bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false, err
	}
	return max(int64(st.Bavail), 0) * int64(st.Bsize), uint64(st.Flags)&readOnlyFlag != 0, nil
}
