package smtpclient

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"
)

// startGoSMTP runs go-smtp's server, the only peer that is always available.
func startGoSMTP(t *testing.T, k *keyPair) *peer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	keep := &keeper{dir: t.TempDir()}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return keep, nil }))
	srv.Domain, srv.TLSConfig, srv.MaxLineLength = "mx.example.net", server(k.cert), 10000
	srv.EnableDSN, srv.EnableSMTPUTF8, srv.EnableBINARYMIME, srv.EnableREQUIRETLS = true, true, true, true
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return &peer{addr: netip.MustParseAddrPort(l.Addr().String()), dir: keep.dir}
}

// keeper is a session that writes each message to a file.
type keeper struct {
	dir string
	n   atomic.Int64
}

func (*keeper) Mail(string, *smtp.MailOptions) error { return nil }
func (*keeper) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*keeper) Reset()                               {}
func (*keeper) Logout() error                        { return nil }

func (k *keeper) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s/%d", k.dir, k.n.Add(1))
	return os.WriteFile(name, b, 0o600) // there when the client reads 250
}

// Binary content and REQUIRETLS, which few peers support.
func TestInteropGoSMTP(t *testing.T) {
	ca := newAuthority(t, "CA")
	p := startGoSMTP(t, &keyPair{cert: ca.issue(nil, "mx.example.net")})
	tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots()}
	defer tr.Close()
	dst := &Destination{Name: "go-smtp", Hosts: HostList(Host{Name: "mx.example.net", Addrs: []netip.AddrPort{p.addr}})}
	n := 0
	text := "X-Interop: binary\r\nContent-Transfer-Encoding: binary\r\n\r\n.\n\x00\r\xff\r\n.\r\nno end"
	for _, text := range []string{text, text, trace + text} { // on a new session and on a kept one
		m := mail(text, "b@example.net")
		m.Options.MailOptions = smtp.MailOptions{Body: smtp.BodyBinaryMIME, RequireTLS: true}
		expect(t, tr.Send(t.Context(), dst, m), "success 250 2.0.0 ...")
		n++
		b, err := os.ReadFile(fmt.Sprintf("%s/%d", p.dir, n))
		if err != nil || string(b) != text+"\r\n" {
			t.Errorf("received %q, %v", b, err)
		}
	}
}
