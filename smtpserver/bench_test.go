//go:build unix

package smtpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
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
// the CPU time of the server's process, all threads. The process has 64 MiB of
// live heap, as a relay has with its queue: with an empty heap the garbage
// collector runs every 4 MB, and that would be most of what is measured.
func BenchmarkReceive(b *testing.B) {
	live := make([]byte, 64<<20)
	defer runtime.KeepAlive(live)
	servers := []struct {
		name  string
		start func(b *testing.B) (addr string)
		over  int // for messages larger than this
	}{
		// Beyond 256 KiB the message is in a file.
		{"bridgehead", func(b *testing.B) string { return startOurs(b, 0, nil) }, 0},
		{"bridgehead-in-memory", func(b *testing.B) string { return startOurs(b, -1, nil) }, 256 << 10},
		{"bridgehead-with-protocol-log", func(b *testing.B) string { return startOurs(b, 0, protocolLog(b)) }, 0},
		{"go-smtp", startGoSMTP, 0},
	}
	for _, size := range []int{4 << 10, 100 << 10, 10 << 20} {
		for _, s := range servers {
			if size < s.over {
				continue
			}
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

func startOurs(b *testing.B, memory int64, log smtpserver.ProtocolLog) string {
	return smtptest.NewServer(b, &smtpserver.Server{
		ProtocolLog: log,
		Limits:      smtpserver.Limits{MessageRate: -1, MemoryContent: memory},
		Handler: smtpserver.HandlerFunc(func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
			return "", m.Close()
		}),
	}).Addr
}

func protocolLog(b *testing.B) smtpserver.ProtocolLog {
	log := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: b.TempDir()})
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return log
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

// BenchmarkIdle shows what a connection costs that has said EHLO and waits:
// resident memory of the server's process, and the part of it that Go counts
// (heap and stacks), for 10,000 connections.
func BenchmarkIdle(b *testing.B) {
	const n = 10_000
	tlsConfig, _ := smtptest.TLSConfig(b)
	ours := func(b *testing.B, srv *smtpserver.Server) string {
		srv.Limits.Connections = -1
		return smtptest.NewServer(b, srv).Addr
	}
	for _, s := range []struct {
		name, mode string
		start      func(b *testing.B) (addr string)
	}{
		{"bridgehead/plain", "plain", func(b *testing.B) string { return ours(b, &smtpserver.Server{}) }},
		{"bridgehead/tls", "tls", func(b *testing.B) string {
			return ours(b, &smtpserver.Server{TLSConfig: tlsConfig, TLSMode: smtpserver.TLSImplicit})
		}},
		{"go-smtp/plain", "plain", startGoSMTP},
	} {
		b.Run(s.name, func(b *testing.B) {
			for range b.N {
				addr := s.start(b)
				rss, counted := memory(b)
				client := exec.Command(os.Args[0], addr, strconv.Itoa(n), s.mode)
				client.Env = append(os.Environ(), benchClientEnv+"=1")
				client.Stderr = os.Stderr
				in, err := client.StdinPipe()
				if err != nil {
					b.Fatal(err)
				}
				out, err := client.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := client.Start(); err != nil {
					b.Fatal(err)
				}
				if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
					b.Fatal(err)
				}
				rss2, counted2 := memory(b)
				b.ReportMetric(float64(rss2-rss)/n, "rss-B/conn")
				b.ReportMetric(float64(counted2-counted)/n, "go-B/conn")
				in.Close()
				if err := client.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// memory is what the process has resident, and what Go has in use.
func memory(b *testing.B) (rss, counted int64) {
	for range 3 { // stacks shrink by half with each collection
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("resident memory cannot be read here")
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * int64(os.Getpagesize()), int64(m.HeapInuse + m.StackInuse)
}
