package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A caller is a client of the relay in the middle of its session.
type caller struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// call opens a session.
func (w *world) call() *caller {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.smtp)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	c := &caller{conn, w.t, bufio.NewReader(conn)}
	c.reply("220")
	c.say("EHLO caller.example", "250")
	return c
}

// say sends a command. The reply must have the code.
func (c *caller) say(command, code string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		c.t.Fatal(err)
	}
	c.reply(code)
}

func (c *caller) reply(code string) {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, code) {
			c.t.Fatalf("the reply is %q, %v, want %s", line, err, code)
		}
		if line[3] == ' ' {
			return
		}
	}
}

// sessionID returns the ID of the one session.
func (w *world) sessionID() string {
	w.t.Helper()
	all := w.do("sessions", "-side", "in", "-json").want(0).json()["sessions"].([]any)
	if len(all) != 1 {
		w.t.Fatalf("there are %d sessions", len(all))
	}
	return all[0].(map[string]any)["id"].(string)
}

// An operator sees who is connected, and ends a session.
func TestSessions(t *testing.T) {
	w := newWorld(t, nil)
	w.do("sessions", "-side", "in").want(3)
	c := w.call()
	w.do("sessions").want(0, "caller.example", "incoming", "127.0.0.1:", "in")
	w.do("sessions", "-address", "192.0.2.0/24").want(3)
	w.do("sessions", "-state", "strange").want(1, "state")
	w.do("sessions", "end").want(2)
	w.do("sessions", "end", "none").want(3)
	id := w.sessionID()
	w.do("sessions", "end", id).want(4, "caller.example", "1 session")
	c.say("NOOP", "250")
	w.do("sessions", "end", id, "-yes", "-reason", "it does nothing").want(0, "done, 1 session")
	c.reply("421")
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("the connection is still open: %v", err)
	}
}

// A tape is the output of a process that runs.
type tape struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (p *tape) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *tape) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *tape) has(text string) func() bool {
	return func() bool { return strings.Contains(p.String(), text) }
}

// watch begins to watch.
func (w *world) watch(args ...string) (out *tape, end func() error) {
	w.t.Helper()
	out = &tape{}
	cmd := process(w.t, []string{"RELAYCTL_URL=" + w.url, "RELAYCTL_TOKEN_FILE=" + w.tokenFile}, append([]string{"watch"}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var once sync.Once
	var err error
	wait := func() error {
		once.Do(func() { err = cmd.Wait() })
		return err
	}
	w.t.Cleanup(func() { wait() })
	return out, func() error {
		cmd.Process.Signal(os.Interrupt)
		return wait()
	}
}

// The dialogue of one session is shown from its beginning to its end.
func TestWatchSession(t *testing.T) {
	w := newWorld(t, nil)
	c := w.call()
	out, _ := w.watch("-session", w.sessionID())
	peers.Await(t, "the dialogue so far", out.has("<  EHLO caller.example"))
	c.say("MAIL FROM:<alice@example.com>", "250")
	peers.Await(t, "MAIL", out.has("<  MAIL FROM:<alice@example.com>"))
	c.say("QUIT", "221")
	peers.Await(t, "the end", out.has(">  221"))
	w.do("watch", "-session", "none").want(3)
}

// The dialogues of a connector are shown from the banner on, until it is enough.
func TestWatchConnector(t *testing.T) {
	w := newWorld(t, nil)
	out, end := w.watch("-connector", "incoming", "-json")
	peers.Await(t, "a dialogue", func() bool {
		w.call().Close()
		return out.has("EHLO caller.example")()
	})
	if err := end(); err != nil {
		t.Errorf("the end: %v\n%s", err, out)
	}
	r := &result{t: t, command: "watch", out: out.String()}
	if line := r.json(); line["connector"] != "incoming" || line["session"] == "" {
		t.Errorf("the line is %v", line)
	}
	w.do("watch", "-network", "192.0.2.1", "-for", "50ms").want(0)
	w.do("watch", "-network", "somewhere").want(1, "network")
	w.do("watch", "-for", "-1s").want(2)
	w.do("watch", "-session", "").want(2)
}

// A stream that breaks is opened again, and an error ends the command.
func TestWatchAgain(t *testing.T) {
	calls := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: line\ndata: {\"kind\":\"<\",\"data\":\"NOOP\\u001b[2J\"}\n\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer web.Close()
	runProcess(t, nil, "watch", "-url", web.URL).want(1, `<  NOOP\x1B[2J`, "connecting again", "busy")
}
