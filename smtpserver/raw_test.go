package smtpserver_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// raw is a client that sends exactly the bytes that a test gives it.
type raw struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return newRaw(t, c)
}

func newRaw(t testing.TB, c net.Conn) *raw { return &raw{t, c, bufio.NewReader(c)} }

func (c *raw) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// reply returns the next reply. Its lines end in "\n".
func (c *raw) reply() string {
	c.t.Helper()
	lines, err := smtptest.ReadReply(c.r)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (c *raw) expect(prefixes ...string) {
	c.t.Helper()
	for _, p := range prefixes {
		if got := c.reply(); !strings.HasPrefix(got, p) {
			c.t.Fatalf("reply %q, want %q", got, p)
		}
	}
}

// gone waits until the server has closed the connection.
func (c *raw) gone() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("instead of closing the server says %q, %v", b, err)
	}
}
