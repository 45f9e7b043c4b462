package milter

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck makes a function that acknowledges at once what a TCP connection has
// received; nil for other connections. libmilter sends a change and the reply
// that follows it in two writes, and leaves Nagle's algorithm on: the second
// waits for the acknowledgement of the first, which Linux delays by 40 ms.
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
			// An error costs those 40 ms and nothing else.
			unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
		})
	}
}
