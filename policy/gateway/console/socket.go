package console

import (
	"context"
	"crypto/tls"
	"net"
	"os"
)

// ownUID returns the user ID of this process.
func ownUID() int { return os.Geteuid() }

// withPeer adds the peer of a Unix socket to the context of its requests.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	for {
		switch c := conn.(type) {
		case *limitedConn:
			conn = c.Conn
			continue
		case *tls.Conn:
			conn = c.NetConn()
			continue
		case *net.UnixConn:
			uid, err := peerUID(c)
			return context.WithValue(ctx, peerKey{}, peer{uid, err})
		}
		return ctx
	}
}
