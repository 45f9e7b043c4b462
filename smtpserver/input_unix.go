//go:build unix

package smtpserver

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawConn is the way to wait for a socket without a buffer in hand. Only the
// net package's own types qualify: a type that embeds one of them may have a
// Read of its own.
func rawConn(c net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch c := c.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}

// tryRead reads what is there; false says that there is nothing yet.
func (in *input) tryRead(fd uintptr) bool {
	in.take()
	for {
		n, err := syscall.Read(int(fd), in.free())
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			in.park()
			return false
		case err != nil:
			in.err = os.NewSyscallError("read", err)
		case n == 0:
			in.err = io.EOF
		default:
			in.w += n
			in.err = nil
		}
		return true
	}
}

// poll reads what has come already, without waiting, where the connection can
// do that.
func (in *input) poll() error {
	if in.raw == nil {
		return nil
	}
	in.room = commandInput
	err := in.raw.Read(func(fd uintptr) bool {
		if !in.tryRead(fd) {
			in.err = nil
		}
		return true
	})
	if err == nil {
		err = in.err
	}
	return err
}
