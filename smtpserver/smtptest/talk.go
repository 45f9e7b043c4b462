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

// Talk holds a conversation with a server. The script has one step in each
// line:
//
//	S: 250 2.1.0      the next reply begins so: code and first words. With a
//	                  reply of several lines one of them has to
//	C: MAIL FROM:<>   send the line and CRLF
//	R: "a\r\nb"       send the quoted string (Go syntax) as it is
//	TLS               do a TLS handshake, trusting anybody
//	EOF               the server closes the connection
//	# remark          for the reader
//
// Several C: lines in a row are sent in one write, as a pipelining client
// does. Empty lines count for nothing. At the first reply that is not the
// expected one the test fails, with the line's number.
func Talk(t testing.TB, addr, script string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	TalkOn(t, c, script)
}

// TalkOn is Talk on a connection that exists and that stays open. The result
// is the TLS connection over it where the script began TLS, otherwise c.
func TalkOn(t testing.TB, c net.Conn, script string) net.Conn {
	t.Helper()
	talker := &talker{conn: c, r: bufio.NewReader(c)}
	// No test waits longer for a server that does not answer.
	c.SetDeadline(time.Now().Add(30 * time.Second))
	var transcript strings.Builder
	for i, step := range strings.Split(script, "\n") {
		step = strings.TrimLeft(step, " \t")
		if step == "" || step[0] == '#' {
			continue
		}
		said, err := talker.step(step)
		transcript.WriteString(said)
		if err != nil {
			t.Fatalf("line %d, %q: %v\nso far:\n%s", i+1, step, err, transcript.String())
		}
	}
	if err := talker.send(); err != nil {
		t.Fatal(err)
	}
	return talker.conn
}

type talker struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
}

func (k *talker) step(step string) (said string, err error) {
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
			said += "S: " + l + "\n"
		}
		if err == nil && !matches(lines, rest) {
			err = errors.New("the reply is another")
		}
		return said, err
	case "TLS":
		tc := tls.Client(k.conn, &tls.Config{InsecureSkipVerify: true}) // a test's own server
		k.conn, k.r = tc, bufio.NewReader(tc)
		return "TLS\n", tc.Handshake()
	case "EOF":
		b, err := k.r.ReadByte()
		if err == nil {
			return "", fmt.Errorf("the server goes on: %q", b)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "", errors.New("the connection stays open")
		}
		return "EOF\n", nil
	}
	return "", errors.New("no such step")
}

func (k *talker) send() error {
	if len(k.out) == 0 {
		return nil
	}
	_, err := k.conn.Write(k.out)
	k.out = nil
	return err
}

// matches says whether a reply has the expected code and words.
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

// ReadReply reads one reply, of one line or several, without CRLFs.
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
			return lines, fmt.Errorf("%q is no reply", l)
		}
		if l[3] == ' ' {
			return lines, nil
		}
		if l[3] != '-' {
			return lines, fmt.Errorf("%q is no reply", l)
		}
	}
}
