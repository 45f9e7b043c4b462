//go:build !linux

package milter

import "net"

// quickAck has an effect only on Linux.
func quickAck(net.Conn) func() { return nil }
