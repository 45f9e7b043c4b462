//go:build unix

package smtpclient

import (
	"io"
	"net"
	"testing"
)

// alive sees at once that the host has closed an idle connection, or has sent a
// 421 that was not read yet.
func TestAlive(t *testing.T) {
	for _, tt := range []struct {
		name string
		host func(net.Conn)
		want bool
	}{
		{"quiet", func(net.Conn) {}, true},
		{"closed", func(c net.Conn) { c.Close() }, false},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }, false},
		{"421", func(c net.Conn) { io.WriteString(c, "421 4.4.2 idle\r\n") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			host, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close()
			tt.host(host)
			if !tt.want { // wait until it has arrived
				raw, _ := client.(*net.TCPConn).SyscallConn()
				raw.Read(func(fd uintptr) bool {
					return !alive(client)
				})
			}
			if got := alive(client); got != tt.want {
				t.Errorf("alive %v, want %v", got, tt.want)
			}
		})
	}
}
