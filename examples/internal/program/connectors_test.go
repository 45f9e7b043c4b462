package program

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// sendFrom sends a message for a recipient elsewhere, from a client address, and wants
// a reply to RCPT.
func (w *world) sendFrom(client, want string) {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	conn, err := d.DialContext(w.t.Context(), "tcp", w.listen)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	smtptest.TalkOn(w.t, conn, fmt.Sprintf("S: 220\nC: HELO client.test\nS: 250\nC: MAIL FROM:<a@example.com>\nS: 250\nC: RCPT TO:<b@elsewhere.example>\nS: %s\nC: QUIT\nS: 221", want))
}

// Two receive connectors have one address: the network of the client decides. A reload
// changes the networks.
func TestRemoteNetworks(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, 2, "printers: 127.0.0.5")
	w.sendFrom("127.0.0.1", "550")
	w.sendFrom("127.0.0.5", "250")
	reloads := 0
	reload := func(more ...string) {
		t.Helper()
		w.configure("relay.example.com", more...)
		w.p.Signal(t, syscall.SIGHUP)
		reloads++
		w.logged("msg=reloaded because=SIGHUP")
		peers.Await(t, "the reload", func() bool { return strings.Count(w.p.Log(), "msg=reloaded because=SIGHUP") == reloads })
	}
	reload("printers: 127.0.0.6")
	w.sendFrom("127.0.0.5", "550")
	w.sendFrom("127.0.0.6", "250")
	reload("printers: 127.0.0.0/29")
	w.sendFrom("127.0.0.6", "250")
	w.sendFrom("127.0.0.8", "550")
	w.configure("relay.example.com") // one connector less
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("1 listeners instead of 2: cannot change without a restart")
	w.sendFrom("127.0.0.6", "250")
	w.p.Stop(t)
}

// A network of two receive connectors is an error that names the setting.
func TestRemoteNetworkTwice(t *testing.T) {
	t.Parallel()
	var out, errs strings.Builder
	p := Program{Name: "office", New: func() Gateway { return new(office) }}
	status := p.Run([]string{"-check", "-spool", "/nowhere", "-hostname", "relay.example.com", "-listen", "127.0.0.1:2525", "-server", "192.0.2.1",
		"-domains", peers.File(t, "example.com\n"), "-printers", "10.0.0.0/8,10.0.0.0/8"}, &out, &errs)
	if status != 2 || !strings.Contains(errs.String(), "-printers: has 10.0.0.0/8 twice") {
		t.Errorf("status %d\n%s", status, &errs)
	}
}
