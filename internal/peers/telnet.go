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

// Telnet connects with the telnet program, as an administrator does to test a mail
// server. A write types lines; a read returns the text on the screen. wrap, if
// given, is a command that runs the program: "ip", "netns", "exec", "office".
func Telnet(t testing.TB, addr string, wrap ...string) net.Conn {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	check(t, err)
	c := typeAt(t, append(wrap, Need(t, "telnet"), host, port)...)
	for _, want := range []string{"Trying ", "Connected to ", "Escape character "} {
		if line := c.line(t); !strings.HasPrefix(line, want) {
			t.Fatalf("telnet printed %q, want %q", line, want)
		}
	}
	return c
}

// SecureTelnet is like Telnet, but connects with the program of OpenSSL and uses
// STARTTLS. OpenSSL has already read the greeting: the test begins with a command.
func SecureTelnet(t testing.TB, addr string) net.Conn {
	t.Helper()
	return typeAt(t, Need(t, "openssl"), "s_client", "-quiet", "-crlf", "-starttls", "smtp", "-name", "client.test", "-connect", addr)
}

// A terminal makes a connection of a program with keyboard and screen.
type terminal struct {
	net.Conn // nil: has the methods that are not called
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
	var errors bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errors
	check(t, cmd.Start())
	in.Close()
	out.Close()
	t.Cleanup(func() {
		keyboard.Close()
		screen.Close()
		cmd.Process.Kill()
		cmd.Wait() // its status is that of a kill, or of a connection that the server closed
		if t.Failed() {
			t.Logf("errors of %s:\n%s", command[0], errors.String())
		}
	})
	return &terminal{keyboard: keyboard, screen: screen}
}

// Write types lines, each with ENTER at its end.
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

// line reads the next line of the screen and nothing after it.
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

// Close ends the program. The end of the test closes it too.
func (c *terminal) Close() error { return c.keyboard.Close() }
