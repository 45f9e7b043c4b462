package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Promise 6: overload produces 4xx, never an out-of-memory kill. A relay (the
// example smarthost) runs in a container with 96 MB, without a setting that says
// so. 150 clients at the same time send messages of 200 kB, and the next hop is
// slow. All messages that are answered with 250 arrive.
func TestRelayInSmallContainer(t *testing.T) {
	const (
		memory  = 96 << 20
		clients = 150
		each    = 4 // messages of a client
	)
	group := peers.NewMemoryGroup(t, memory)
	program := peers.Build(t, "../../examples/smarthost") // without the race detector, which needs more memory
	next := newFaultySink(t, func(stage, _ string) string {
		if stage == "dot" {
			<-time.After(100 * time.Millisecond)
		}
		return ""
	})
	listen := peers.FreeAddr(t)
	relay := group.Command(program, "-listen", listen, "-allow", "127.0.0.0/8", "-upstream", next.addr, "-tls", "none",
		"-hostname", "relay.example.com", "-spool", t.TempDir())
	var log bytes.Buffer
	relay.Stderr = &log
	must(t, relay.Start())
	ended := make(chan error, 1)
	go func() { ended <- relay.Wait() }()
	stopped := false
	defer func() {
		if !stopped {
			relay.Process.Kill()
			<-ended
		}
	}()
	await(t, 10*time.Second, "the relay listens", func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			c.Close()
		}
		return err == nil
	})

	crowd := containerCrowd{addr: listen, accepted: map[string]bool{}, refused: map[string]int{}}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { crowd.send(t, i, each) })
	}
	wg.Wait()
	took := time.Since(began)
	if len(crowd.accepted) != clients*each {
		t.Errorf("%d of %d messages were accepted", len(crowd.accepted), clients*each)
	}
	await(t, time.Minute, "every message that was answered 250 at the next hop", func() bool {
		got := map[string]bool{}
		for _, m := range next.received() {
			got[messageID(m.data)] = true
		}
		return countAccepted(got, crowd.accepted) == len(crowd.accepted)
	})
	must(t, relay.Process.Signal(syscall.SIGTERM))
	if err := <-ended; err != nil {
		t.Errorf("the relay ended: %v", err)
	}
	stopped = true
	if n := group.Kills(t); n != 0 {
		t.Errorf("the kernel has killed %d processes", n)
	}
	if !strings.Contains(log.String(), fmt.Sprint("bytes=", memory)) {
		t.Error("the relay has not found its limit")
	}
	if t.Failed() {
		t.Logf("log of the relay:\n%s", log.Bytes())
	}
	t.Logf("%d messages of 200 kB from %d clients in %v, temporary refusals %v, largest use with page cache %d MiB of %d",
		len(crowd.accepted), clients, took.Round(time.Millisecond), crowd.refused, group.Peak(t)>>20, memory>>20)
}

func countAccepted(got, accepted map[string]bool) (n int) {
	for id := range accepted {
		if got[id] {
			n++
		}
	}
	return n
}

// A containerCrowd sends each message again until it is accepted.
type containerCrowd struct {
	addr string

	mu       sync.Mutex // guards the fields below
	accepted map[string]bool
	refused  map[string]int // by reply
}

func (c *containerCrowd) send(t *testing.T, client, messages int) {
	n := 0
	for n < messages {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Errorf("client %d: %v", client, err)
			return
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		err = c.session(conn, client, &n, messages)
		conn.Close()
		if err != nil && !strings.HasPrefix(err.Error(), "4") {
			t.Errorf("client %d: %v", client, err)
			return
		}
		if err != nil {
			c.mu.Lock()
			c.refused[err.Error()]++
			c.mu.Unlock()
			<-time.After(100 * time.Millisecond) // as a client that defers a message, only sooner
		}
	}
}

// session sends messages until a reply is not the one that the client wants,
// which is then the error.
func (c *containerCrowd) session(conn net.Conn, client int, n *int, messages int) error {
	r := bufio.NewReader(conn)
	step := func(line, want string) error {
		if _, err := io.WriteString(conn, line); err != nil {
			return err
		}
		for {
			reply, err := r.ReadString('\n')
			switch {
			case err != nil:
				return err
			case len(reply) > 3 && reply[3] == '-':
			case !strings.HasPrefix(reply, want):
				return fmt.Errorf("%s", strings.TrimSpace(reply))
			default:
				return nil
			}
		}
	}
	for _, s := range [][2]string{{"", "220"}, {"EHLO client.example\r\n", "250"}} {
		if err := step(s[0], s[1]); err != nil {
			return err
		}
	}
	for *n < messages {
		id := fmt.Sprintf("<%d.%d@container.test>", client, *n)
		text := "Message-ID: " + id + "\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 2000)
		for _, s := range [][2]string{
			{"MAIL FROM:<alice@example.com>\r\n", "250"},
			{"RCPT TO:<bob@example.net>\r\n", "250"},
			{"DATA\r\n", "354"},
			{text + ".\r\n", "250"},
		} {
			if err := step(s[0], s[1]); err != nil {
				return err
			}
		}
		c.mu.Lock()
		c.accepted[id] = true
		c.mu.Unlock()
		*n++
	}
	return nil
}
