package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network simulates a network: each connection to an address plays the next script
// of the address. An address without a script refuses the connection.
//
// A script is a session: "S: " lines are what the host sends and "C: " lines what
// it expects. Special lines are
//
//	S: <close>     the host closes the connection
//	S: <reset>     as close, with a TCP reset: a write fails
//	S: <tls>       the host's side of a TLS handshake
//	S: <hang>      the host sends nothing until the client closes
//	S: x<crlf>y    two lines at once
//	S: <pause>     the host waits for a minute
//	S: <freeze>    as hang, and the host does not read either
//	C: <nodot>     the client closes without a final dot
//	C: <garble>    a TLS handshake, answered with a line that is not TLS
//	C: <content>   everything up to the final dot
//	C: <eof>       the client closes
//	C: <any>       any one line
//	C: <bytes N>   N octets (after BDAT)
type network struct {
	t   *testing.T
	tls *tls.Config
	// buffered lets the host send before the client reads.
	buffered bool
	wg       sync.WaitGroup

	mu      sync.Mutex // guards all below
	scripts map[string][]string
	dialled []string
	content []string // what was sent as content, in order
}

func newNetwork(t *testing.T) *network {
	n := &network{t: t, scripts: make(map[string][]string)}
	t.Cleanup(func() {
		n.wg.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		for addr, s := range n.scripts {
			if len(s) > 0 {
				t.Errorf("%s: %d scripts were not played", addr, len(s))
			}
		}
	})
	return n
}

// host adds scripts for the connections to addr.
func (n *network) host(addr string, scripts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.scripts[addr] = append(n.scripts[addr], scripts...)
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialled = append(n.dialled, addr)
	s := n.scripts[addr]
	if len(s) == 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	n.scripts[addr] = s[1:]
	if s[0] == "<timeout>" {
		n.mu.Unlock()
		<-ctx.Done()
		n.mu.Lock()
		return nil, ctx.Err()
	}
	pipe, server := net.Pipe()
	client := &closeable{Conn: pipe, closed: make(chan struct{})}
	if n.buffered {
		server = newTalker(server)
	}
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		defer server.Close()
		if err := n.play(server, s[0], client.closed); err != nil {
			n.t.Errorf("%s: %v", addr, err)
		}
	}()
	return client, nil
}

// play runs the host's side of one connection.
func (n *network) play(conn net.Conn, script string, closed <-chan struct{}) error {
	r := bufio.NewReader(conn)
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		who, text, _ := strings.Cut(line, ": ")
		var bytes int
		switch {
		case line == "":
		case line == "S: <close>", line == "S: <reset>":
			return nil
		case line == "S: <hang>", line == "C: <eof>":
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				return fmt.Errorf("client sent %q, want it to close", rest)
			}
			return nil
		case line == "S: <pause>":
			time.Sleep(time.Minute)
		case line == "S: <freeze>":
			<-closed
			return nil
		case line == "C: <nodot>":
			if rest, _ := io.ReadAll(r); strings.HasSuffix(string(rest), "\r\n.\r\n") {
				return fmt.Errorf("content %q ends in a dot", rest)
			}
			return nil
		case line == "C: <garble>":
			r.Peek(1) // the ClientHello
			io.WriteString(conn, "this is not TLS\r\n")
			return nil
		case line == "S: <tls>":
			c := tls.Server(conn, n.tls)
			if err := c.Handshake(); err != nil {
				return nil // the client's side says what is wrong
			}
			conn, r = c, bufio.NewReader(c)
		case who == "S":
			if _, err := io.WriteString(conn, strings.ReplaceAll(text, "<crlf>", "\r\n")+"\r\n"); err != nil {
				return fmt.Errorf("saying %q: %w", text, err)
			}
		case line == "C: <content>":
			if err := n.readContent(r); err != nil {
				return err
			}
		case who == "C" && strings.HasPrefix(text, "<bytes "):
			fmt.Sscanf(text, "<bytes %d>", &bytes)
			b := make([]byte, bytes)
			if _, err := io.ReadFull(r, b); err != nil {
				return err
			}
			n.keep(string(b))
		case who == "C":
			got, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("reading %q: %w", text, err)
			}
			if got = strings.TrimSuffix(got, "\r\n"); got != text && text != "<any>" {
				return fmt.Errorf("client sent %q, want %q", got, text)
			}
		default:
			return fmt.Errorf("bad script line %q", line)
		}
	}
	return nil
}

// talker is a connection whose Write does not wait, as on a real network.
type talker struct {
	net.Conn
	lines chan []byte
	done  chan struct{}
}

func newTalker(conn net.Conn) *talker {
	t := &talker{Conn: conn, lines: make(chan []byte, 1000), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		for l := range t.lines {
			conn.Write(l) // a client that has gone shows at the next read
		}
	}()
	return t
}

func (t *talker) Write(p []byte) (int, error) {
	t.lines <- append([]byte(nil), p...)
	return len(p), nil
}

func (t *talker) Close() error {
	close(t.lines)
	<-t.done
	return t.Conn.Close()
}

// closeable is a connection with a channel that is closed when it is closed.
type closeable struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closeable) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (n *network) readContent(r *bufio.Reader) error {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading content: %w", err)
		}
		if line == ".\r\n" {
			n.keep(b.String())
			return nil
		}
		b.WriteString(line)
	}
}

func (n *network) keep(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.content = append(n.content, s)
}

// transport returns a Transport that uses the network.
func (n *network) transport() *Transport {
	t := &Transport{Hostname: "relay.example", DialContext: n.dial}
	n.t.Cleanup(func() { t.Close() })
	return t
}

// to returns a destination with the hosts mx1, mx2, ..., each with one address.
func to(addrs ...string) *Destination {
	var hosts []Host
	for i, a := range addrs {
		hosts = append(hosts, Host{Name: fmt.Sprintf("mx%d.example.net", i+1), Addrs: []netip.AddrPort{netip.MustParseAddrPort(a)}})
	}
	return &Destination{Name: "example.net", Hosts: HostList(hosts...)}
}

// mail returns a message from a@example.com.
func mail(text string, rcpts ...string) *Message {
	m := &Message{From: "a@example.com", Content: content.Of([]byte(text))}
	for _, r := range rcpts {
		m.Recipients = append(m.Recipients, Recipient{Addr: r})
	}
	return m
}

// summary formats results: outcome, code, enhanced code, text, host.
func summary(rs []Result) string {
	var b strings.Builder
	for _, r := range rs {
		e := r.Reply.EnhancedCode
		fmt.Fprintf(&b, "%s %d %d.%d.%d %s", r.Outcome, r.Reply.Code, e[0], e[1], e[2], r.Reply.Message)
		if r.Host != "" {
			fmt.Fprintf(&b, " [%s]", r.Host)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// expect compares results with a summary in which "..." at the end of a line
// matches any text.
func expect(t *testing.T, rs []Result, want string) {
	t.Helper()
	got := strings.Split(strings.TrimSpace(summary(rs)), "\n")
	lines := strings.Split(strings.TrimSpace(want), "\n")
	ok := len(got) == len(lines)
	for i := 0; ok && i < len(got); i++ {
		w := strings.TrimSpace(lines[i])
		if prefix, open := strings.CutSuffix(w, "..."); open {
			ok = strings.HasPrefix(got[i], prefix)
		} else {
			ok = got[i] == w
		}
	}
	if !ok {
		t.Errorf("results:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
		for _, r := range rs {
			if r.Err != nil {
				t.Logf("error: %v", r.Err)
			}
		}
	}
}
