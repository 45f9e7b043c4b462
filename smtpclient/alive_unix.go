//go:build unix

package smtpclient

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// alive reports whether an idle connection is still usable: the host has not
// closed it and has sent nothing. What a host sends on an idle session is a 421
// or the end of TLS. alive does not wait. It returns true for a connection that
// it cannot check; the next command finds out.
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
