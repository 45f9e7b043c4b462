package peers

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// CloseAtEnd closes the parts of a relay, in their order, when the test ends. An
// error of Close fails the test.
func CloseAtEnd(t testing.TB, parts ...io.Closer) {
	t.Cleanup(func() {
		for _, c := range parts {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// File writes a file that only its owner can read, and returns its name.
func File(t testing.TB, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// Serve listens on a loopback address until the test ends, and calls serve for
// each connection. It closes the connection when serve returns.
func Serve(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}
