package policy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const edgeClientEnv = "BRIDGEHEAD_EDGE_CLIENT"

// edgeClient is the client's process of BenchmarkEdge. args are the address, the
// number of messages, the number of sessions, and a file with the message.
func edgeClient(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	sessions, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	message, err := os.ReadFile(args[3])
	if err != nil {
		return err
	}
	message = append(bytes.ReplaceAll(message, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
	ended := make(chan error, sessions)
	for i := range sessions {
		go func() { ended <- edgeSession(args[0], message, (n+i)/sessions) }()
	}
	for range sessions {
		err = errors.Join(err, <-ended)
	}
	return err
}

// edgeSession sends a message n times in one session.
func edgeSession(addr string, message []byte, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(text string, codes ...string) error {
		_, err := io.WriteString(c, text)
		for _, code := range codes {
			lines, e := smtptest.ReadReply(r)
			if err = errors.Join(err, e); err == nil && !strings.HasPrefix(lines[0], code) {
				err = fmt.Errorf("%q, want %s", lines, code)
			}
		}
		return err
	}
	err = say("", "220")
	for i := 0; i <= n && err == nil; i++ {
		switch {
		case i == 0:
			err = say("EHLO client.example\r\n", "250")
		default:
			err = say("MAIL FROM:<a@sender.example>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\n", "250", "250", "354")
			if err == nil {
				err = say(string(message), "250")
			}
		}
	}
	return errors.Join(err, say("QUIT\r\n"))
}
