//go:build unix

package smtpclient

import "golang.org/x/sys/unix"

// openFiles returns how many files the process may have open; ok is false if
// there is no limit.
func openFiles() (n uint64, ok bool) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
