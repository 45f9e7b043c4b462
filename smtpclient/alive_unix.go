//go:build unix

package smtpclient

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// alive looks whether the host has closed an idle connection or said
// something unasked, which on an idle session can only be goodbye. It does
// not wait. Of a connection that cannot be looked at it
// assumes the best: the next command will tell.
func alive(conn net.Conn) (quiet bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = err == unix.EAGAIN || err == unix.EWOULDBLOCK || err == unix.EINTR
	})
	return err == nil && quiet
}
