package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// BenchmarkManyDomains delivers mail for 10,000 domains: each domain with a host
// of its own, and all behind one host. It reports the CPU time of the relay (not
// of the host, which is another process), and the connections.
func BenchmarkManyDomains(b *testing.B) {
	for _, oneHost := range []bool{false, true} {
		b.Run(map[bool]string{false: "own hosts", true: "one host"}[oneHost], func(b *testing.B) { benchManyDomains(b, oneHost) })
	}
}

func benchManyDomains(b *testing.B, oneHost bool) {
	const domains, messages = 10_000, 50_000
	host := startBenchHost(b)
	store, err := spool.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	table, err := routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: host.port})
	if err != nil {
		b.Fatal(err)
	}
	router := &routing.Router{Table: table, Hostname: "relay.test", Resolver: manyDomains{oneHost}}
	defer router.Close()
	d := &deliveries{Router: router, left: messages, done: make(chan struct{})}
	q := &queue.Queue{Store: store, Deliverer: d, Hostname: "relay.test"}
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	body := "From: <a@example.com>\r\nSubject: test\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 56) // 4 KiB
	for b.Loop() {
		before, began := cpuTime(), time.Now()
		var next atomic.Int64
		var clients sync.WaitGroup
		for range 64 {
			clients.Go(func() {
				for i := next.Add(1) - 1; i < messages; i = next.Add(1) - 1 {
					m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt(fmt.Sprintf("u@d%d.test", i%domains)), Content: queue.String(body)}
					if err := q.Submit(ctx, m); err != nil {
						b.Error(err)
					}
				}
			})
		}
		clients.Wait()
		<-d.done
		b.ReportMetric((cpuTime()-before).Seconds()*1000/messages, "cpu-s/1000")
		b.ReportMetric(messages/time.Since(began).Seconds(), "msgs/s")
		b.ReportMetric(float64(host.connections(b)), "conns")
		b.ReportMetric(0, "ns/op")
		d.left, d.done = messages, make(chan struct{})
	}
	stop()
	running.Wait()
}

// deliveries counts the delivered messages.
type deliveries struct {
	*routing.Router
	mu   sync.Mutex // guards left
	left int
	done chan struct{} // closed when left is 0
}

func (d *deliveries) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := d.Router.Deliver(ctx, hop, m, rcpts)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range results {
		if results[i].Outcome == queue.Success {
			if d.left--; d.left == 0 {
				close(d.done)
			}
		}
	}
	return results
}

// manyDomains is a Resolver with the MX host mxN.test for each domain dN.test,
// or one for all, each with an address of its own in 127.0.0.0/8.
type manyDomains struct{ oneHost bool }

func (r manyDomains) Lookup(_ context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
	a := &routing.Answer{Name: name, Expires: time.Now().Add(time.Hour)}
	var n int
	switch t {
	case routing.TypeMX:
		fmt.Sscanf(name, "d%d.test", &n)
		if r.oneHost {
			n = 0
		}
		a.MX = []routing.MX{{Preference: 10, Host: fmt.Sprintf("mx%d.test", n)}}
	case routing.TypeA:
		fmt.Sscanf(name, "mx%d.test", &n)
		n += 256 // not 127.0.0.x
		a.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)})}
	default:
		return nil, &routing.LookupError{Problem: routing.NoRecord, Name: name, Type: t}
	}
	return a, nil
}

// benchHostEnv makes the test binary a host for benchmarks.
const benchHostEnv = "BRIDGEHEAD_E2E_HOST"

// A benchHost is a host in another process that accepts all mail on all addresses
// of 127.0.0.0/8.
type benchHost struct {
	port int
	ask  io.Writer
	said *bufio.Reader
}

func startBenchHost(b *testing.B) *benchHost {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchHostEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	h := &benchHost{ask: in, said: bufio.NewReader(out)}
	h.port = h.number(b)
	return h
}

// connections returns the connections since the last call.
func (h *benchHost) connections(b *testing.B) int {
	fmt.Fprintln(h.ask)
	return h.number(b)
}

func (h *benchHost) number(b *testing.B) (n int) {
	if _, err := fmt.Fscanln(h.said, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// benchHostMain is the process of a benchHost. It ends with its standard input.
func benchHostMain() {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	var conns atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go benchSession(c)
		}
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(conns.Swap(0))
	}
}

func benchSession(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 8192), bufio.NewWriterSize(c, 512)
	w.WriteString("220 host\r\n")
	for {
		if r.Buffered() == 0 {
			w.Flush()
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := string(line[:min(4, len(line))]); verb {
		case "EHLO":
			w.WriteString("250-host\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n")
		case "DATA":
			w.WriteString("354 go\r\n")
			w.Flush()
			for string(line) != ".\r\n" {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
			}
			w.WriteString("250 ok\r\n")
		case "QUIT":
			w.WriteString("221 bye\r\n")
			w.Flush()
			return
		default:
			w.WriteString("250 ok\r\n")
		}
	}
}
