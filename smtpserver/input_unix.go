//go:build unix

package smtpserver

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawConn returns the RawConn of a socket, which can wait without a buffer. It
// supports only the types of package net: a type that embeds one of them may
// have its own Read method.
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

// tryRead reads the available input. It returns false if there is none.
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
			in.count(n)
			in.err = nil
		}
		return true
	}
}

// poll reads the available input without waiting, if the connection supports
// it.
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
