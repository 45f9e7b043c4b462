//go:build unix

package peers

import (
	"syscall"
	"testing"
)

// Suspend stops the command where it is (SIGSTOP), and Continue continues it.
func (p *Process) Suspend(t testing.TB) {
	t.Helper()
	check(t, p.cmd.Process.Signal(syscall.SIGSTOP))
}

// Continue ends a Suspend.
func (p *Process) Continue(t testing.TB) {
	t.Helper()
	check(t, p.cmd.Process.Signal(syscall.SIGCONT))
}
