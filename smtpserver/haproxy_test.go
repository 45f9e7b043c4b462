//go:build unix

package smtpserver_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// HAProxy sends health checks: with a header of version 2 without an address
// (LOCAL), or with a header of version 1 with its own address. It relays
// sessions with the addresses of the clients.
func TestHAProxy(t *testing.T) {
	haproxy := peers.Need(t, "haproxy")
	for send, checker := range map[string]string{"send-proxy": "127.0.0.1:", "send-proxy-v2": "unknown"} {
		t.Run(send, func(t *testing.T) {
			log := new(said)
			srv := smtptest.NewServer(t, &smtpserver.Server{ProxyFrom: loopback, ProtocolLog: log})
			front := peers.FreeAddr(t)
			dir := t.TempDir()
			stats := filepath.Join(dir, "stats")
			conf := filepath.Join(dir, "haproxy.cfg")
			if err := os.WriteFile(conf, fmt.Appendf(nil, `
global
    stats socket %s
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen smtp
    bind %s
    option smtpchk EHLO check.example
    server relay %s %s check check-send-proxy inter 100ms
`, stats, front, srv.Addr, send), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), haproxy, "-db", "-f", conf)
			cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				cmd.Process.Kill()
				cmd.Wait()
			})
			peers.Await(t, "a health check that the server passed", func() bool { return strings.Contains(statusOf(stats), "L7OK") })

			smtptest.Talk(t, front, "S: 220\nC: EHLO client.example\nS: 250\nC: QUIT\nS: 221")
			cmd.Process.Kill()
			cmd.Wait()
			srv.Close()
			var checks, clients int
			for _, e := range log.events {
				switch {
				case strings.HasPrefix(e.Remote, checker) && e.Data == "EHLO check.example":
					checks++
				case strings.HasPrefix(e.Remote, "127.0.0.1:") && e.Data == "EHLO client.example":
					clients++
				}
			}
			if checks == 0 || clients != 1 {
				t.Errorf("%d checks, %d clients", checks, clients)
			}
		})
	}
}

// statusOf returns the status of its servers as HAProxy reports it, or ""
// before HAProxy listens.
func statusOf(socket string) string {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return ""
	}
	defer c.Close()
	fmt.Fprintln(c, "show stat")
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}
