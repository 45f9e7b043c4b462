package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// begin sends the beginning of a message with n bytes of content, which take
// ten seconds.
func begin(t *testing.T, c net.Conn, n int) {
	t.Helper()
	r := bufio.NewReader(c)
	for _, command := range []string{"EHLO client.example", "MAIL FROM:<a@example.net>", "RCPT TO:<alice@example.com>", "DATA", ""} {
		if lines, err := smtptest.ReadReply(r); err != nil || lines[0][0] > '3' {
			t.Fatalf("%q, %v", lines, err)
		}
		if command != "" {
			io.WriteString(c, command+"\r\n")
		}
	}
	line := strings.Repeat("x", 98) + "\r\n"
	io.WriteString(c, "Subject: x\r\n\r\n")
	for range 10 {
		io.WriteString(c, strings.Repeat(line, n/1000))
		time.Sleep(time.Second)
	}
}

func wantReply(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if lines, err := smtptest.ReadReply(bufio.NewReader(c)); err != nil || !strings.HasPrefix(lines[0], want) {
		t.Errorf("%q, %v, want %q", lines, err, want)
	}
}

// All servers of a Gateway share one budget for unfinished messages: those of
// its listeners, those that replace another, and those without a listener.
func TestContentBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		other, without := smtptest.NewListener(), smtptest.NewListener()
		r.Listeners = append(r.Listeners, &gateway.Listener{Server: r.server(t, "relay.example.com"), Socket: other})
		internal := r.server(t, "relay.example.com")
		internal.Limits.MessageSize = 90_000
		r.Servers = []*smtpserver.Server{internal}
		r.ContentBudget = &smtpserver.ContentBudget{Max: 100_000}
		r.Tasks = append(r.Tasks, func(ctx context.Context) error {
			go func() {
				<-ctx.Done()
				without.Close()
			}()
			internal.Serve(without)
			return nil
		})
		stop := r.run(t)
		synctest.Wait()
		large := r.server(t, "relay.example.com")
		large.Limits.MessageSize = 200_000
		if err := r.Listeners[1].Replace(large); err == nil || !strings.Contains(err.Error(), "ContentBudget") {
			t.Errorf("Replace by a server whose messages are larger than the budget: %v", err)
		}
		dial := func(l *smtptest.Listener) net.Conn {
			c, err := l.Dial("192.0.2.1:1025")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first, second := dial(r.socket), dial(other)
		begin(t, first, 30_000)
		begin(t, second, 30_000)
		if err := r.Listeners[1].Replace(r.server(t, "relay.example.com")); err != nil {
			t.Fatal(err)
		}
		third, last := dial(other), dial(without)
		begin(t, third, 30_000)
		begin(t, last, 80_000)
		for _, c := range []net.Conn{first, second, third} {
			wantReply(t, c, "421 4.3.1")
		}
		io.WriteString(last, ".\r\n")
		wantReply(t, last, "250")
		for _, c := range []net.Conn{first, second, third, last} {
			c.Close()
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := r.ContentBudget.Used(); n != 0 {
			t.Errorf("%d bytes are used", n)
		}
	})
}
