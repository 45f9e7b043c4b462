//go:build !unix

package smtpserver

import (
	"net"
	"syscall"
)

// Elsewhere sockets are waited for as TLS connections are, with a small
// buffer in hand.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (in *input) tryRead(uintptr) bool { return true }

func (in *input) poll() error { return nil }
