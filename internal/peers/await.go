package peers

import (
	"net"
	"testing"
	"time"
)

// Await asks cond again and again until it is true, for what another process
// does, which tells us nothing of itself; after 20 s the test fails.
func Await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// FreeAddr is a loopback address that nobody listens on at present.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// AwaitListening waits until a server accepts connections.
func AwaitListening(t testing.TB, name, addr string) {
	t.Helper()
	Await(t, name+" at "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
