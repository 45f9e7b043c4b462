//go:build !unix

package smtpserver

import (
	"net"
	"syscall"
)

// Other systems wait for a socket with a small buffer, as for a TLS connection.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (in *input) tryRead(uintptr) bool { return true }

func (in *input) poll() error { return nil }
