package peers

import (
	"net"
	"testing"
	"time"
)

// Await calls cond every 10 ms until it returns true. It is for events in another
// process, which sends no notification. After a minute the test fails: this leaves
// room for a machine that is busy with other tests.
func Await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// FreeAddr returns a loopback address with a port that is not in use.
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
