package smtpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// BenchmarkReceive compares this server with go-smtp's, side by side: the
// same client process sends messages over loopback TCP, one transaction after
// another on one connection, with MAIL, RCPT and DATA pipelined. Both servers
// give the whole message to the application, which drops it. cpu-µs/msg is
// the CPU time of the server's process, all threads.
func BenchmarkReceive(b *testing.B) {
	servers := []struct {
		name  string
		start func(b *testing.B) (addr string)
	}{
		{"bridgehead", startOurs},
		{"go-smtp", startGoSMTP},
	}
	for _, size := range []int{4 << 10, 100 << 10, 10 << 20} {
		for _, s := range servers {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, s.name), func(b *testing.B) {
				addr := s.start(b)
				client := exec.Command(os.Args[0], addr, strconv.Itoa(b.N), strconv.Itoa(size))
				client.Env = append(os.Environ(), benchClientEnv+"=1")
				client.Stderr = os.Stderr
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				before := cpuTime(b)
				if err := client.Run(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(cpuTime(b)-before)/1e3/float64(b.N), "cpu-µs/msg")
			})
		}
	}
}

func startOurs(b *testing.B) string {
	return smtptest.NewServer(b, &smtpserver.Server{
		Limits: smtpserver.Limits{MessageRate: -1},
		Handler: smtpserver.HandlerFunc(func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
			return "", m.Close()
		}),
	}).Addr
}

func startGoSMTP(b *testing.B) string {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return discardSession{}, nil }))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	b.Cleanup(func() {
		srv.Close()
		<-served
	})
	return l.Addr().String()
}

type discardSession struct{}

func (discardSession) Reset()                               {}
func (discardSession) Logout() error                        { return nil }
func (discardSession) Mail(string, *smtp.MailOptions) error { return nil }
func (discardSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (discardSession) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchClientEnv = "BRIDGEHEAD_BENCH_CLIENT"

// benchClient is the client's process: addr, number of messages, size.
func benchClient(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
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
