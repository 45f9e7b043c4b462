package smtpclient

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// No message counts as delivered by a reply to another command: a reply that the
// host sent twice or too early.
func TestOnlyItsOwnReplyDelivers(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"the reply to the transaction before comes twice", ehlo + all + `
			S: 250 2.0.0 queued<crlf>250 2.0.0 queued
			C: <eof>`, `
			success 250 2.0.0 queued [mx1.example.net]
			deferred 451 4.5.0 session with mx1.example.net: MAIL: unexpected reply before the command was sent`},
		{"the reply to the content comes before the content", ehlo + batch + `
			S: 250 ok
			S: 250 ok
			S: 354 go ahead<crlf>250 2.0.0 queued
			C: <nodot>`, `
			deferred 451 4.5.0 session with mx1.example.net: DATA: unexpected reply before the content was sent
			deferred 451 4.5.0 session with mx1.example.net: DATA: unexpected reply before the content was sent`},
		{"354 comes twice", ehlo + batch + `
			S: 250 ok
			S: 250 ok
			S: 354 go ahead<crlf>354 go ahead
			C: <nodot>`, `
			deferred 451 4.5.0 session with mx1.example.net: DATA: unexpected reply before the content was sent
			deferred 451 4.5.0 session with mx1.example.net: DATA: unexpected reply before the content was sent`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:25", tt.script)
			tr := n.transport()
			tr.MaxRecipients = 1
			tr.Timeouts = Timeouts{Mail: time.Second, Rcpt: time.Second, DataDone: time.Second, DataBlock: time.Second}
			m := mail("x\r\n", "b@example.net", "c@example.net")
			expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), tt.want)
			if len(n.content) > 1 {
				t.Errorf("sent %q", n.content)
			}
		})
	}
}

// An unsolicited reply that arrives while the session is idle is not read as a
// reply to the next message, even if that message is sent immediately.
func TestUnsolicitedReplyOnIdleSession(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sent, arrived := make(chan bool), make(chan bool)
	go func() {
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			io.WriteString(c, "220 mx\r\n")
			r.ReadString('\n')
			io.WriteString(c, "250-mx\r\n250 PIPELINING\r\n")
			for message := 0; ; message++ {
				for range 3 { // MAIL, RCPT, DATA
					if _, err = r.ReadString('\n'); err != nil {
						break
					}
				}
				if err != nil {
					break
				}
				if first && message > 0 {
					io.WriteString(c, "250 ok\r\n250 ok\r\n554 5.7.1 spam\r\n")
					continue
				}
				io.WriteString(c, "250 ok\r\n250 ok\r\n354 go ahead\r\n")
				for range 2 { // the content, the dot
					if _, err = r.ReadString('\n'); err != nil {
						break
					}
				}
				io.WriteString(c, "250 2.0.0 queued\r\n")
				if first {
					<-sent
					io.WriteString(c, "250 2.0.0 queued, I said\r\n")
					close(arrived)
				}
			}
			c.Close()
		}
	}()
	tr := &Transport{Hostname: "relay.example"}
	defer tr.Close()
	dst := &Destination{Name: "x", Hosts: HostList(Host{Name: "mx1.example.net", Addrs: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}})}
	expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), queued)
	close(sent)
	<-arrived
	got := tr.Send(t.Context(), dst, mail("y\r\n", "b@example.net"))
	if !strings.HasPrefix(summary(got), queued) {
		t.Errorf("%s", summary(got))
	}
	if tr.pool.oldest.Len() != 1 {
		t.Errorf("%d sessions are kept", tr.pool.oldest.Len())
	}
}
