package smtpserver_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// only returns the one live session of a server, after it waits.
func only(t *testing.T, srv *smtpserver.Server) smtpserver.SessionInfo {
	t.Helper()
	synctest.Wait()
	all := srv.Sessions()
	if len(all) != 1 {
		t.Fatalf("%d sessions", len(all))
	}
	return all[0]
}

// Sessions shows each state of a session, and what the session waits for.
func TestSessions(t *testing.T) {
	const pause = time.Minute
	srv := &smtpserver.Server{Name: "edge", Auth: wonderland(), AllowInsecureAuth: true,
		Handler: smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) {
			time.Sleep(pause)
			return "", nil
		}),
		Agents: []smtpserver.Agent{{Name: "quick"}, {Name: "slow",
			Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error {
				time.Sleep(pause)
				return nil
			},
			EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { time.Sleep(pause); return nil },
		}}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.expect("220")
		began := time.Now()
		check := func(state, waiting string) smtpserver.SessionInfo {
			t.Helper()
			i := only(t, srv)
			if i.State != state || i.Waiting != waiting {
				t.Errorf("state %q, waiting for %q; want %q, %q", i.State, i.Waiting, state, waiting)
			}
			return i
		}
		i := check("banner", "")
		if i.ID == "" || i.Connector != "edge" || i.Remote != "192.0.2.7:1025" || i.Peer != "" || !i.Started.Equal(began) {
			t.Errorf("%+v", i)
		}
		c.send("EHLO my printer\r\n")
		c.expect("250")
		if i := check("helo", ""); i.Name != "my%20printer" {
			t.Errorf("name %q", i.Name)
		}
		c.send("AUTH LOGIN\r\n")
		c.expect("334")
		check("auth", "")
		c.send(b64("alice") + "\r\n")
		c.expect("334")
		c.send(b64("wonderland") + "\r\n")
		c.expect("235")
		if i := check("auth", ""); i.Identity != "alice" {
			t.Errorf("identity %q", i.Identity)
		}
		c.send("MAIL FROM:<a@example.com>\r\n")
		c.expect("250")
		if i := check("mail", ""); i.From != "a@example.com" || !strings.HasPrefix(i.MessageID, i.ID+".") || i.Messages != 1 {
			t.Errorf("%+v", i)
		}
		c.send("RCPT TO:<b@example.com>\r\n")
		if i := check("rcpt", "slow"); !i.StateSince.Equal(time.Now()) {
			t.Errorf("since %v", i.StateSince)
		}
		c.expect("250")
		if i := check("rcpt", ""); i.Recipients != 1 {
			t.Errorf("%d recipients", i.Recipients)
		}
		c.send("DATA\r\n")
		c.expect("354")
		check("data", "")
		c.send("Subject: x\r\n\r\nbody\r\n.\r\n")
		check("end of data", "slow")
		time.Sleep(pause)
		if i := check("end of data", "handler"); !i.StateSince.Equal(time.Now().Add(-pause)) {
			t.Errorf("since %v", i.StateSince)
		}
		c.expect("250")
		i = check("idle", "")
		if i.MessageID != "" || i.From != "" || i.Recipients != 0 || i.Messages != 1 {
			t.Errorf("after the transaction: %+v", i)
		}
		if i.BytesIn < 100 || i.BytesOut < 200 {
			t.Errorf("%d bytes in, %d out", i.BytesIn, i.BytesOut)
		}
		c.send("QUIT\r\n")
		c.expect("221")
		c.gone()
		synctest.Wait()
		if n := len(srv.Sessions()); n != 0 {
			t.Errorf("%d sessions after QUIT", n)
		}
	})
}

// The encryption is shown, and STARTTLS removes what the client said before.
func TestSessionsTLS(t *testing.T) {
	srv := smtptest.NewServer(t, withTLS(t, smtpserver.TLSOffered))
	c := dialRaw(t, srv.Addr)
	c.greet()
	if i := srv.Sessions()[0]; i.TLS != "" || i.Name != "client.example" {
		t.Errorf("before STARTTLS: %+v", i)
	}
	c.send("STARTTLS\r\n")
	c.expect("220")
	encrypted := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	inTLS := newRaw(t, encrypted)
	inTLS.send("NOOP\r\n")
	inTLS.expect("250")
	if i := srv.Sessions()[0]; i.State != "tls" || i.Name != "" || !strings.HasPrefix(i.TLS, "TLS 1.3 TLS_") {
		t.Errorf("after STARTTLS: %+v", i)
	}
}

// Behind a proxy, Remote is the client and Peer the proxy.
func TestSessionsBehindProxy(t *testing.T) {
	srv := &smtpserver.Server{ProxyFrom: []netipPrefix{anywhere}, XClientFrom: []netipPrefix{netip.MustParsePrefix("198.51.100.0/24")}}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.send("PROXY TCP4 198.51.100.9 203.0.113.1 4711 25\r\n")
		c.expect("220")
		if i := only(t, srv); i.Remote != "198.51.100.9:4711" || i.Local != "203.0.113.1:25" || i.Peer != "192.0.2.7:1025" {
			t.Errorf("PROXY: %+v", i)
		}
		c.send("XCLIENT ADDR=203.0.113.77 PORT=99 HELO=x.example LOGIN=bob\r\n")
		c.expect("220")
		if i := only(t, srv); i.Remote != "203.0.113.77:99" || i.Peer != "192.0.2.7:1025" || i.State != "banner" || i.Identity != "bob" || i.Name != "x.example" {
			t.Errorf("XCLIENT: %+v", i)
		}
		c.Close()
	})
}

// A list of 10,000 sessions is short work and blocks no session.
func BenchmarkSessions(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv := &smtpserver.Server{Limits: smtpserver.Limits{Connections: -1, ConnectionsPerAddr: -1, ConnectionsPerNetwork: -1, ConnectionRate: -1}}
			l := smtptest.NewListener()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			for range n {
				c, err := l.Dial("192.0.2.7:1025")
				if err != nil {
					b.Fatal(err)
				}
				newRaw(b, c).expect("220")
			}
			b.ReportAllocs()
			for b.Loop() {
				if got := len(srv.Sessions()); got != n {
					b.Fatal(got)
				}
			}
			srv.Close()
			<-served
		})
	}
}

// EndSession is safe at any moment, while others list and watch.
func TestSessionsConcurrently(t *testing.T) {
	srv := smtptest.NewServer(t, generous())
	ctx, cancel := context.WithCancel(t.Context())
	lines, err := srv.Watch(ctx, smtpserver.WatchFilter{Client: netip.MustParsePrefix("127.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan bool)
	go func() {
		for range lines {
		}
		close(drained)
	}()
	stop := make(chan bool)
	ended := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				ended <- n
				return
			default:
			}
			for _, i := range srv.Sessions() {
				if i.Messages > 2 && srv.EndSession(i.ID) {
					n++
				}
			}
			srv.KeepDialogue(n % 2 * 1000)
		}
	}()
	done := make(chan bool)
	for range 4 {
		go func() {
			defer func() { done <- true }()
			for range 10 {
				sendUntilClosed(t, srv.Addr)
			}
		}()
	}
	for range 4 {
		<-done
	}
	close(stop)
	if <-ended == 0 {
		t.Error("no session was ended")
	}
	cancel()
	<-drained
}

// sendUntilClosed sends messages on one connection until the server ends it.
func sendUntilClosed(t *testing.T, addr string) {
	c := dialRaw(t, addr)
	defer c.Close()
	c.greet()
	for {
		if _, err := io.WriteString(c, "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"); err != nil {
			return
		}
		for range 3 {
			if lines, err := smtptest.ReadReply(c.r); err != nil || strings.HasPrefix(lines[0], "421") {
				return
			}
		}
		if _, err := io.WriteString(c, "Subject: x\r\n\r\nbody\r\n.\r\n"); err != nil {
			return
		}
		if lines, err := smtptest.ReadReply(c.r); err != nil || strings.HasPrefix(lines[0], "421") {
			return
		}
	}
}
