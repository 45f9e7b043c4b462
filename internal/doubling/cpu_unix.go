//go:build unix

package doubling

import (
	"syscall"
	"time"
)

// used returns the processor time that the process has used. Unlike the time of day,
// it does not grow while other processes have the processors.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return time.Since(begun)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
