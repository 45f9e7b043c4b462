package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
)

const (
	crashRounds  = 25
	crashSenders = 12
)

// Promises 1 and 3: a message that was answered with 250 survives kill -9, and
// duplicates require a crash. The relay runs as a process. While it receives and
// sends mail, the process is killed at random times.
func TestNothingIsLostToKill9(t *testing.T) {
	spoolDir, listen := t.TempDir(), peers.FreeAddr(t)
	next := newSink(t)
	crowd := startCrowd(t, listen)

	for range crashRounds {
		relay := startRelayProcess(t, spoolDir, listen, next.addr)
		pause(t, time.Duration(50+rand.IntN(350))*time.Millisecond)
		must(t, relay.Process.Kill())
		relay.Wait() // "signal: killed"
	}
	before := next.received() // after the last crash, before the last recovery
	relay := startRelayProcess(t, spoolDir, listen, next.addr)
	pause(t, 200*time.Millisecond)
	acked := crowd.stop()

	var got map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("%d of %d arrived", countIn(got, acked), len(acked))
		}
	}()
	await(t, time.Minute, "every message that was answered 250 at the next hop", func() bool {
		got = map[string]int{}
		for _, m := range next.received() {
			got[messageID(m.data)]++
		}
		for id := range acked {
			if got[id] == 0 {
				return false
			}
		}
		return true
	})
	relay.Process.Kill()
	relay.Wait()

	twice, copies := 0, 0
	for _, n := range got {
		if n > 1 {
			twice++
			copies += n - 1
		}
	}
	for _, m := range next.received() {
		if want := crashMessage(messageID(m.data)); !bytes.HasSuffix(m.data, want) {
			t.Errorf("%s arrived damaged", messageID(m.data))
		}
	}
	t.Logf("%d crashes; %d messages answered 250, all arrived, %d of them more than once (%d duplicates); %d arrived without a 250 that the client saw; %d of all arrived before the last recovery",
		crashRounds, len(acked), twice, copies, len(got)-countIn(got, acked), len(before))
	if len(acked) < 20*crashRounds {
		t.Errorf("only %d messages were accepted: too few to show anything", len(acked))
	}
}

func countIn(got map[string]int, ids map[string]bool) (n int) {
	for id := range got {
		if ids[id] {
			n++
		}
	}
	return n
}

// pause lets the other processes work for a while. A crash happens at a random
// time, so there is no event to wait for.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// relayEnv is the environment variable that makes this test program a relay. Its
// value is "SPOOL LISTEN SMARTHOST".
const relayEnv = "BRIDGEHEAD_E2E_RELAY"

func startRelayProcess(t *testing.T, spoolDir, listen, smartHost string, more ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayEnv+"="+strings.Join(append([]string{spoolDir, listen, smartHost}, more...), " "))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		cmd.Wait()
		t.Fatalf("the relay did not start: %q, %v\n%s", line, err, stderr.Bytes())
	}
	return cmd
}

// A crowd of clients sends messages until stop. The clients connect again when the
// relay is restarted. acked has the messages that were answered with 250.
type crowd struct {
	wg   sync.WaitGroup
	quit chan struct{}

	mu    sync.Mutex // guards acked
	acked map[string]bool
}

func startCrowd(t *testing.T, addr string) *crowd {
	c := &crowd{quit: make(chan struct{}), acked: map[string]bool{}}
	for i := range crashSenders {
		c.wg.Go(func() { c.send(addr, i) })
	}
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *crowd) stop() map[string]bool {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	c.wg.Wait()
	return c.acked
}

// count returns the number of messages that were answered with 250.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

func (c *crowd) send(addr string, sender int) {
	n := 0
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			c.session(conn, sender, &n) // until the relay is killed, or stop is called
			conn.Close()
		}
		select {
		case <-c.quit:
			return
		case <-time.After(5 * time.Millisecond): // the relay is being restarted
		}
	}
}

var errQuit = errors.New("stop was called")

// session sends messages, one after the other, until the connection breaks.
func (c *crowd) session(conn net.Conn, sender int, n *int) error {
	r := bufio.NewReader(conn)
	say := func(line, want string) error {
		if _, err := io.WriteString(conn, line); err != nil {
			return err
		}
		for {
			reply, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if len(reply) > 3 && reply[3] == '-' {
				continue
			}
			if !strings.HasPrefix(reply, want) {
				return fmt.Errorf("%q was answered %q", line[:min(len(line), 40)], reply)
			}
			return nil
		}
	}
	if err := errors.Join(say("", "220"), say("EHLO crowd.test\r\n", "250")); err != nil {
		return err
	}
	for {
		select {
		case <-c.quit:
			return errQuit
		default:
		}
		*n++
		id := fmt.Sprintf("<%d.%d@crash.test>", sender, *n)
		for _, step := range []struct{ line, want string }{
			{"MAIL FROM:<alice@example.com>\r\n", "250"},
			{"RCPT TO:<bob@example.net>\r\n", "250"},
			{"DATA\r\n", "354"},
			{string(crashMessage(id)) + ".\r\n", "250"},
		} {
			if err := say(step.line, step.want); err != nil {
				return err
			}
		}
		c.mu.Lock()
		c.acked[id] = true
		c.mu.Unlock()
	}
}

// crashMessage returns the message of an ID. Most messages have 4 KiB, some 100
// KiB, and a few more than the spool keeps in its log.
func crashMessage(id string) []byte {
	var sender, n int
	fmt.Sscanf(id, "<%d.%d@crash.test>", &sender, &n)
	size := 4 << 10
	switch {
	case n%31 == 7:
		size = 600 << 10
	case n%11 == 3:
		size = 100 << 10
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Message-ID: %s\r\nSubject: crash test\r\n\r\n", id)
	line := fmt.Sprintf("%s %s\r\n", id, strings.Repeat("z", 60))
	for b.Len() < size {
		b.WriteString(line)
	}
	return b.Bytes()
}

// relayMain is the main function of the relay process. It runs until it is killed,
// or with the setting "signals" until it gets a signal. More settings are
// "segment=BYTES", the size of the spool's segments, and "retry=INTERVAL".
func relayMain(settings string) {
	f := strings.Fields(settings)
	c := relayConfig{spool: f[0], listen: f[1], smartHost: f[2],
		// By default, a message that was active at two crashes, with no attempt
		// ended between them, is set aside as poison. These crashes follow each
		// other too fast for an attempt, and no message causes them.
		limits: queue.Limits{Interrupted: 10 * crashRounds}}
	var err error
	for _, setting := range f[3:] {
		name, value, _ := strings.Cut(setting, "=")
		switch name {
		case "segment":
			c.segment, err = strconv.ParseInt(value, 10, 64)
		case "retry":
			c.retry.Intervals = make([]time.Duration, 1)
			c.retry.Intervals[0], err = time.ParseDuration(value)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	r, err := assemble(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if slices.Contains(f[3:], "signals") {
		os.Exit(gateway.Main("relay", nil, os.Stderr, func(*slog.Logger) (gateway.Runner, error) {
			fmt.Println("ready")
			return &gateway.Gateway{Queue: r.queue, Closers: []io.Closer{r.router, r.store},
				Listeners: []*gateway.Listener{{Server: r.srv, Socket: r.l}}}, nil
		}))
	}
	fmt.Println("ready")
	r.run(context.Background())
}
