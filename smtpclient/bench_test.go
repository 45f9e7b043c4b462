//go:build unix

package smtpclient

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

const benchSessions = 20

// BenchmarkSend sends messages in 20 kept sessions to Postfix's smtp-sink: with
// Transport, with and without a protocol log, and for comparison with go-smtp's
// client. msg/s is the throughput with the sink on the same processors,
// cpu-µs/msg is the CPU time of this process.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{4 << 10, 100 << 10} {
		text := message(size)
		b.Run(fmt.Sprintf("Transport/%dKiB", size>>10), func(b *testing.B) { benchTransport(b, startSink(b), text, "", nil) })
		b.Run(fmt.Sprintf("Transport-with-protocol-log/%dKiB", size>>10), func(b *testing.B) {
			log := NewProtocolLog(&ProtocolLogFiles{Dir: b.TempDir()})
			benchTransport(b, startSink(b), text, "", log)
			if err := log.Close(); err != nil {
				b.Error(err)
			}
		})
		b.Run(fmt.Sprintf("go-smtp/%dKiB", size>>10), func(b *testing.B) {
			addr := startSink(b)
			benchmark(b, func() func() {
				c, err := smtp.Dial(addr.String())
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { c.Close() })
				return func() {
					if err := goSMTP(c, text); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func benchTransport(b *testing.B, addr netip.AddrPort, text []byte, body smtp.BodyType, log ProtocolLog) {
	t := &Transport{MaxMessages: -1, Hostname: "relay.example", ProtocolLog: log}
	defer t.Close()
	dst := &Destination{Name: "sink", Hosts: HostList(Host{Name: "sink", Addrs: []netip.AddrPort{addr}})}
	benchmark(b, func() func() {
		m := mail("", "b@example.net")
		m.Content, m.Options.Body = content.Of(text), body
		return func() {
			if r := t.Send(b.Context(), dst, m); r[0].Outcome != Success {
				b.Error(r[0])
			}
		}
	})
}

// BenchmarkBDAT sends the same text by DATA and by BDAT to a go-smtp server over
// 20 kept sessions. Both take two round trips with PIPELINING: BDAT's content
// waits until a recipient was accepted, DATA's for 354.
func BenchmarkBDAT(b *testing.B) {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return swallow{}, nil }))
	srv.Domain, srv.EnableBINARYMIME = "sink", true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	addr := netip.MustParseAddrPort(l.Addr().String())
	for _, size := range []int{4 << 10, 100 << 10} {
		for name, body := range map[string]smtp.BodyType{"DATA": smtp.Body8BitMIME, "BDAT": smtp.BodyBinaryMIME} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				benchTransport(b, addr, message(size), body, nil)
			})
		}
	}
}

// message returns a message of the given size in octets.
func message(size int) []byte {
	text := []byte("From: a@example.com\r\nTo: b@example.net\r\nSubject: benchmark\r\n\r\n")
	for len(text) < size {
		text = append(text, "All work and no play makes Jack a dull boy. ............. .............\r\n"...)
	}
	return append(text[:size-2], "\r\n"...)
}

func goSMTP(c *smtp.Client, text []byte) error {
	if err := c.Mail("a@example.com", nil); err != nil {
		return err
	}
	if err := c.Rcpt("b@example.net", nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, bytes.NewReader(text)); err != nil {
		return err
	}
	return w.Close()
}

// benchmark shares b.N messages among the sessions.
func benchmark(b *testing.B, session func() func()) {
	var wg sync.WaitGroup
	work := make(chan int, benchSessions)
	ready := make(chan bool)
	for range benchSessions {
		send := session()
		wg.Go(func() {
			send()
			ready <- true
			for n := range work {
				for range n {
					send()
				}
			}
		})
	}
	for range benchSessions {
		<-ready
	}
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime()
	for left := b.N; left > 0; left -= 10 {
		work <- min(left, 10)
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/msg")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// swallow is a session of go-smtp's server that accepts everything.
type swallow struct{}

func (swallow) Mail(string, *smtp.MailOptions) error { return nil }
func (swallow) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (swallow) Reset()                               {}
func (swallow) Logout() error                        { return nil }

func (swallow) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
