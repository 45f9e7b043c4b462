package smtpclient

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// fixedHost is a host that sends fixed replies and ignores the commands.
type fixedHost struct {
	net.Conn
	io.Reader
}

func (d fixedHost) Read(p []byte) (int, error)       { return d.Reader.Read(p) }
func (d fixedHost) Write(p []byte) (int, error)      { return len(p), nil }
func (d fixedHost) Close() error                     { return nil }
func (d fixedHost) LocalAddr() net.Addr              { return nil }
func (d fixedHost) RemoteAddr() net.Addr             { return nil }
func (d fixedHost) SetDeadline(time.Time) error      { return nil }
func (d fixedHost) SetReadDeadline(time.Time) error  { return nil }
func (d fixedHost) SetWriteDeadline(time.Time) error { return nil }

// For any replies of the host, each recipient gets a consistent result, and
// nothing panics or loops.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"220 mx\r\n250 mx\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 queued\r\n",
		"220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 1000\r\n250 ok\r\n250 ok\r\n452 4.5.3 many\r\n250 queued\r\n250 ok\r\n250 ok\r\n250 queued\r\n",
		"220 mx\r\n500 what\r\n250 mx\r\n451 later\r\n",
		"220 mx\r\n250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n454 no\r\n334 \r\n535 no\r\n",
		"220 mx\r\n250-mx\r\n250 AUTH SCRAM-SHA-256\r\n334 cj14\r\n501 cancelled\r\n",
		"220 mx\r\n250-mx\r\n250 SMTPUTF8\r\n421 bye\r\n",
		"554 no\r\n", "", "\r\n", "220-\r\n220",
	} {
		for i := range uint8(4) {
			f.Add([]byte(s), i)
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, kind uint8) {
		tr := &Transport{Hostname: "relay.example", LMTP: kind&1 != 0, AllowInsecureAuth: true, MaxMessages: 3,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return fixedHost{Reader: strings.NewReader(string(said))}, nil
			}}
		defer tr.Close()
		if kind&2 != 0 {
			tr.Auth = PasswordAuth("alice", "wonderland")
		}
		m := mail("Subject: ü\r\n\r\n.\r\n", "b@example.net", "c@example.net", "d@example.net")
		m.Options.MailOptions = smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: kind&4 != 0}
		host := Host{Name: "mx", Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}}
		dst := &Destination{Name: "x", Hosts: HostList(host, host)}
		for range 3 {
			rs := tr.Send(t.Context(), dst, m)
			if len(rs) != len(m.Recipients) {
				t.Fatalf("%d results", len(rs))
			}
			for _, r := range rs {
				code := r.Reply.Code
				if code < 200 || code > 599 || (r.Outcome == Success) != (code/100 == 2) || r.Outcome == Failure && code/100 != 5 {
					t.Fatalf("%s with %d %s", r.Outcome, code, r.Reply.Message)
				}
			}
		}
	})
}
