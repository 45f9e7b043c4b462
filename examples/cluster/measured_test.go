//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A measured is a relay of BenchmarkNodes. It is a process of this test program.
type measured struct {
	Name, State, Sink string
	Database          string // empty: the queue is a spool
	Group             group
}

// asMeasured is the variable of the environment for a measured.
const asMeasured = "CLUSTER_MEASURED"

func (m *measured) start(b *testing.B) *peers.Process {
	b.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	return peers.StartSelf(b, asMeasured, 1, string(text))
}

// measuredMain is the main function of a measured.
func measuredMain() {
	var m measured
	err := json.Unmarshal([]byte(os.Args[1]), &m)
	if err == nil {
		err = m.Group.join(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	p := program.Program{Name: "measured", New: func() program.Gateway { return new(cluster) }}
	args := []string{"-listen", "127.0.0.1:0", "-hostname", "mx.example.com", "-domain", "example.com=" + m.Sink}
	if m.Database != "" {
		args = append(args, "-state", m.State, "-node", m.Name, "-database", m.Database)
	} else {
		p.New = func() program.Gateway { return withSpool{new(cluster)} }
		args = append(args, "-spool", m.State, "-database", "postgres://127.0.0.1/unused")
	}
	os.Exit(p.Run(args, os.Stdout, os.Stderr))
}

// withSpool hides OpenStore of a cluster, so that its queue is a spool.
type withSpool struct{ program.Gateway }

// sendAll sends n messages to the relays. Each client has one session.
func sendAll(b *testing.B, addrs []string, clients, n int) {
	b.Helper()
	var sent atomic.Int64
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			if err := sendUntil(addrs[c%len(addrs)], &sent, int64(n)); err != nil {
				b.Error(err)
			}
		})
	}
	running.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// body is a message of 4 KiB.
var body = "From: a@example.net\r\nSubject: test\r\n\r\n" +
	strings.Repeat("A line of some text in a message of 4 KiB, with 62 characters.\r\n", 63) + ".\r\n"

// sendUntil sends messages in one session until sent is n. It does as little as
// possible, because it shares the processors with the relays.
func sendUntil(addr string, sent *atomic.Int64, n int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	expect := func(codes ...string) error {
		for _, code := range codes {
			for more := true; more; {
				line, err := r.ReadString('\n')
				if err != nil {
					return err
				}
				if !strings.HasPrefix(line, code) {
					return fmt.Errorf("%q instead of %s", line, code)
				}
				more = line[3] == '-'
			}
		}
		return nil
	}
	say := func(text string, codes ...string) error {
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		return expect(codes...)
	}
	if err = expect("220"); err == nil {
		err = say("EHLO client.example.net\r\n", "250")
	}
	for err == nil && sent.Add(1) <= n {
		if err = say("MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n", "250", "250", "354"); err == nil {
			err = say(body, "250")
		}
	}
	if err == nil {
		err = say("QUIT\r\n", "221")
	}
	return err
}

// A counter is a mail server that counts the messages that it gets, and does nothing
// else.
type counter struct {
	addr  string
	count atomic.Int64
}

func newCounter(b *testing.B) *counter {
	b.Helper()
	k := new(counter)
	k.addr = peers.Serve(b, k.serve)
	return k
}

func (k *counter) serve(c net.Conn) {
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	reply := "220 sink\r\n"
	for content := false; ; {
		w.WriteString(reply)
		if reply = ""; r.Buffered() == 0 {
			w.Flush()
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := string(bytes.ToUpper(line[:min(len(line), 4)])); {
		case content && string(line) != ".\r\n":
		case content:
			k.count.Add(1)
			content, reply = false, "250 ok\r\n"
		case verb == "EHLO":
			reply = "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
		case verb == "DATA":
			content, reply = true, "354 go\r\n"
		default: // MAIL, RCPT, QUIT
			reply = "250 ok\r\n"
		}
	}
}
