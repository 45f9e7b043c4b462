package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"time"
)

// A client runs one SMTP session over TCP and prints it. After the first error,
// which is in err, it sends nothing more.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	out  *printer
	err  error
}

func dial(addr string, out *printer) *client {
	out.beginSession()
	c := &client{out: out}
	c.conn, c.err = net.DialTimeout("tcp", addr, 5*time.Second)
	if c.err == nil {
		c.conn.SetDeadline(time.Now().Add(30 * time.Second))
		c.r = bufio.NewReader(c.conn)
	}
	return c
}

// say sends a command, if it is not empty, and reads the reply. The reply must
// begin with one of the codes.
func (c *client) say(command string, codes ...string) {
	c.sayHidden(command, command, codes...)
}

// sayHidden is say, but prints shown instead of the command.
func (c *client) sayHidden(command, shown string, codes ...string) {
	if c.err != nil {
		return
	}
	if command != "" {
		c.out.line("C: ", shown)
		if _, c.err = fmt.Fprintf(c.conn, "%s\r\n", command); c.err != nil {
			return
		}
	}
	var lines []string
	for {
		var line string
		if line, c.err = c.r.ReadString('\n'); c.err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) > 3 && line[3] == '-' {
			lines = append(lines, line)
			continue
		}
		c.out.reply(append(lines, line))
		for _, code := range codes {
			if strings.HasPrefix(line, code) {
				return
			}
		}
		c.err = fmt.Errorf("the relay answered %q where %s was expected", line, strings.Join(codes, " or "))
		return
	}
}

func (c *client) startTLS() {
	c.say("STARTTLS", "220")
	if c.err != nil {
		return
	}
	// The certificate is self-signed: no authority can verify it.
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if c.err = conn.Handshake(); c.err != nil {
		return
	}
	state := conn.ConnectionState()
	c.out.line("   ", fmt.Sprintf("(%s, %s)", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)))
	c.conn, c.r = conn, bufio.NewReader(conn)
}

func (c *client) authPlain(user, password string) {
	response := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	c.sayHidden("AUTH PLAIN "+response, "AUTH PLAIN ****", "235")
}

// message sends a message. The lines of text end in LF; it sends them with CRLF.
func (c *client) message(from, to, text string) {
	c.say("MAIL FROM:<"+from+">", "250")
	c.say("RCPT TO:<"+to+">", "250")
	c.say("DATA", "354")
	c.say(strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\r\n")+"\r\n.", "250")
}

func (c *client) quit() error {
	c.say("QUIT", "221")
	if c.conn != nil {
		c.conn.Close()
	}
	c.out.endSession()
	return c.err
}
