package smtptest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Talk connects to the server at addr and runs a script. Each line of the script
// is one step:
//
//	S: 250 2.1.0      read a reply, which must have this code and text: one of
//	                  its lines must begin with the text
//	C: MAIL FROM:<>   send the line and CRLF
//	R: "a\r\nb"       send the quoted string (Go syntax) unchanged
//	TLS               do a TLS handshake, without verifying the certificate
//	EOF               the server must close the connection
//	# remark          a comment
//
// Consecutive C: and R: lines are sent in one write, as a client with PIPELINING
// does. Spaces and tabs before a step and empty lines are ignored. The first
// step that fails ends the test; the message has the number of the line. A
// script has at most 30 seconds.
func Talk(t testing.TB, addr, script string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	TalkOn(t, c, script)
}

// TalkOn runs a script as Talk does, on an open connection. It does not close
// the connection. It returns the TLS connection if the script began TLS,
// otherwise c.
func TalkOn(t testing.TB, c net.Conn, script string) net.Conn {
	t.Helper()
	talker := &talker{conn: c, r: bufio.NewReader(c)}
	// So that a test ends if the server does not reply.
	c.SetDeadline(time.Now().Add(30 * time.Second))
	var transcript strings.Builder
	for i, step := range strings.Split(script, "\n") {
		step = strings.TrimLeft(step, " \t")
		if step == "" || step[0] == '#' {
			continue
		}
		lines, err := talker.step(step)
		transcript.WriteString(lines)
		if err != nil {
			t.Fatalf("line %d, %q: %v\nso far:\n%s", i+1, step, err, transcript.String())
		}
	}
	if err := talker.send(); err != nil {
		t.Fatal(err)
	}
	return talker.conn
}

// talker runs the steps of a script.
type talker struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
}

// step runs one step. transcript is the step and the replies that were read.
func (k *talker) step(step string) (transcript string, err error) {
	word, rest, _ := strings.Cut(step, ":")
	rest = strings.TrimPrefix(rest, " ")
	switch word {
	case "C":
		k.out = append(k.out, rest+"\r\n"...)
		return step + "\n", nil
	case "R":
		raw, err := strconv.Unquote(rest)
		k.out = append(k.out, raw...)
		return step + "\n", err
	}
	if err := k.send(); err != nil && word != "EOF" {
		return "", err
	}
	switch word {
	case "S":
		lines, err := ReadReply(k.r)
		for _, l := range lines {
			transcript += "S: " + l + "\n"
		}
		if err == nil && !matches(lines, rest) {
			err = errors.New("unexpected reply")
		}
		return transcript, err
	case "TLS":
		tc := tls.Client(k.conn, &tls.Config{InsecureSkipVerify: true}) // a test's own server
		k.conn, k.r = tc, bufio.NewReader(tc)
		return "TLS\n", tc.Handshake()
	case "EOF":
		b, err := k.r.ReadByte()
		if err == nil {
			return "", fmt.Errorf("the server sent %q instead of closing the connection", b)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "", errors.New("the server did not close the connection in time")
		}
		return "EOF\n", nil
	}
	return "", errors.New("unknown step")
}

// send writes the C: and R: lines that were collected.
func (k *talker) send() error {
	if len(k.out) == 0 {
		return nil
	}
	_, err := k.conn.Write(k.out)
	k.out = nil
	return err
}

// matches reports whether a reply has the expected code and text.
func matches(lines []string, want string) bool {
	code, text, _ := strings.Cut(want, " ")
	for _, l := range lines {
		if len(l) < 4 || l[:3] != code {
			return false
		}
	}
	for _, l := range lines {
		if strings.HasPrefix(l[4:], text) {
			return true
		}
	}
	return false
}

// ReadReply reads one reply and returns its lines, with their codes and without
// CRLF. On an error it returns the lines that it read before the error.
func ReadReply(r *bufio.Reader) ([]string, error) {
	var lines []string
	tr := textproto.NewReader(r)
	for {
		l, err := tr.ReadLine()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server closed the connection")
			}
			return lines, err
		}
		lines = append(lines, l)
		if len(l) < 4 {
			return lines, fmt.Errorf("%q is not a reply line", l)
		}
		if l[3] == ' ' {
			return lines, nil
		}
		if l[3] != '-' {
			return lines, fmt.Errorf("%q is not a reply line", l)
		}
	}
}
