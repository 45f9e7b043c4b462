package smtpserver_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const benchClientEnv = "BRIDGEHEAD_BENCH_CLIENT"

// idleClient opens n connections, sends EHLO on each, reports this on stdout,
// and waits until its stdin ends.
func idleClient(addr string, n int, mode string) error {
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if mode == "tls" {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		r := bufio.NewReaderSize(c, 512)
		if _, err := smtptest.ReadReply(r); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "EHLO client.example\r\n"); err != nil {
			return err
		}
		if _, err := smtptest.ReadReply(r); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// benchClient is the client's process: addr, number of messages, size; or
// addr, number of connections, "plain" or "tls".
func benchClient(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if args[2] == "plain" || args[2] == "tls" {
		return idleClient(args[0], n, args[2])
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	expect := func(codes ...string) error {
		for _, code := range codes {
			lines, err := smtptest.ReadReply(r)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(lines[0], code) {
				return errors.New(lines[0])
			}
		}
		return nil
	}
	say := func(s string) error {
		_, err := io.WriteString(c, s)
		return err
	}
	err = errors.Join(expect("220"), say("EHLO client.example\r\n"), expect("250"))
	data := append(benchMessage(size), ".\r\n"...)
	for range n {
		if err != nil {
			return err
		}
		err = errors.Join(say("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"), expect("250", "250", "354"))
		if err == nil {
			_, err = c.Write(data)
			err = errors.Join(err, expect("250"))
		}
	}
	return errors.Join(err, say("QUIT\r\n"))
}

// benchMessage is a message of about size bytes, with lines of 72.
func benchMessage(size int) []byte {
	var m bytes.Buffer
	m.WriteString("From: a@example.com\r\nTo: b@example.net\r\nSubject: benchmark\r\nMessage-ID: <1@example.com>\r\n\r\n")
	line := strings.Repeat("0123456789", 7) + "\r\n"
	for m.Len() < size {
		m.WriteString(line)
	}
	return m.Bytes()
}
