package peers

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Telnet connects by the telnet program, as somebody does who tries a mail
// server by hand. What is written to the connection is typed, line by line;
// what is read is on the screen. The program runs behind the words of wrap:
// "ip", "netns", "exec", "office".
func Telnet(t testing.TB, addr string, wrap ...string) net.Conn {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	check(t, err)
	c := typeAt(t, append(wrap, Need(t, "telnet"), host, port)...)
	for _, want := range []string{"Trying ", "Connected to ", "Escape character "} {
		if line := c.line(t); !strings.HasPrefix(line, want) {
			t.Fatalf("telnet says %q where %q is expected", line, want)
		}
	}
	return c
}

// SecureTelnet is Telnet for a server that wants STARTTLS, which takes the
// program of OpenSSL. That has greeted the server already: the user begins.
func SecureTelnet(t testing.TB, addr string) net.Conn {
	t.Helper()
	return typeAt(t, Need(t, "openssl"), "s_client", "-quiet", "-crlf", "-starttls", "smtp", "-name", "client.test", "-connect", addr)
}

// A terminal is a program that somebody types at, as a connection.
type terminal struct {
	net.Conn // nil: for the methods that nobody calls
	keyboard *os.File
	screen   *os.File
}

func typeAt(t testing.TB, command ...string) *terminal {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	in, keyboard, err := os.Pipe()
	check(t, err)
	screen, out, err := os.Pipe()
	check(t, err)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	check(t, cmd.Start())
	in.Close()
	out.Close()
	t.Cleanup(func() {
		keyboard.Close()
		screen.Close()
		cmd.Process.Kill()
		cmd.Wait() // its status is that of a kill, or of a connection that the server closed
		if t.Failed() {
			t.Logf("%s says besides:\n%s", command[0], said.String())
		}
	})
	return &terminal{keyboard: keyboard, screen: screen}
}

// Write types lines, each ended by ENTER.
func (c *terminal) Write(text []byte) (int, error) {
	for line := range bytes.Lines(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))) {
		if _, err := c.keyboard.Write(line); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

func (c *terminal) Read(b []byte) (int, error)        { return c.screen.Read(b) }
func (c *terminal) SetDeadline(limit time.Time) error { return c.screen.SetReadDeadline(limit) }

// line is the next one on the screen. It reads no further than that.
func (c *terminal) line(t testing.TB) string {
	t.Helper()
	check(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	var line []byte
	for b := make([]byte, 1); b[0] != '\n'; line = append(line, b[0]) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("after %q on the screen: %v", line, err)
		}
	}
	return string(line)
}

// Close ends the program, as the end of the test does.
func (c *terminal) Close() error { return c.keyboard.Close() }
