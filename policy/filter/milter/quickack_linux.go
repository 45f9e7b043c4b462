package milter

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck returns a function that immediately acknowledges the data that a TCP
// connection has received. It returns nil for other connections. libmilter sends
// a change and the reply after it in two writes, with Nagle's algorithm. The
// second write waits for the acknowledgement of the first, which Linux delays by
// 40 ms.
func quickAck(c net.Conn) func() {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return func() {
		raw.Control(func(fd uintptr) {
			// An error only causes the delay of 40 ms.
			unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
}
