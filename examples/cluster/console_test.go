//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The console, the metrics and relayctl show the nodes at each of them. A node that
// drains delivers nothing: the other one delivers what it accepts.
func TestNodes(t *testing.T) {
	t.Parallel()
	relayctl := peers.Build(t, "../relayctl")
	inbox := smtptest.NewInbox()
	sink := smtptest.NewServer(t, &smtpserver.Server{Handler: inbox})
	server := pgtest.Shared(t)
	consoles := newConsoles(t, newNodes(t, server, server.Database(t), sink.Addr, []string{"a", "b"}, "-beat", "1s", "-dead-after", "3s",
		"-console", "127.0.0.1:0", "-console-token", filepath.Join(t.TempDir(), "token")), relayctl)
	a, b := consoles[0], consoles[1]

	for _, c := range consoles {
		c.await("metrics", `bridgehead_nodes{state="alive"} 2`)
		c.await("readyz", `"ok":true`)
		c.await("nodes", `<h1>Nodes`)
	}
	b.relayctl("nodes").want("\na ", "\nb")

	// Without -yes, drain only says what it would do.
	if out, err := b.run("drain", "a"); err == nil || !strings.Contains(out, "nothing has changed") {
		t.Errorf("drain without -yes: %v\n%s", err, out)
	}
	b.relayctl("drain", "a", "-yes", "-reason", "new disk").want("a")
	b.relayctl("nodes").want("new disk")
	for _, c := range consoles {
		c.await("nodes", "new disk")
	}
	a.await("readyz", `"ok":false`)
	b.await("readyz", `"ok":true`)
	send(t, a.node, "from the node that drains")
	if m := inbox.Next(t); m.Helo != "b.mx.example.com" {
		t.Errorf("%s has delivered the mail", m.Helo)
	}

	a.relayctl("undrain", "a", "-yes", "-reason", "the disk works").want("a")
	a.await("readyz", `"ok":true`)
	b.relayctl("drain", "b", "-yes", "-reason", "its disk too").want("b")
	b.await("readyz", `"ok":false`)
	send(t, b.node, "from the other node")
	if m := inbox.Next(t); m.Helo != "a.mx.example.com" {
		t.Errorf("%s has delivered the mail", m.Helo)
	}

	// A node that stops is shown by the other one.
	b.node.Stop(t)
	a.await("metrics", `bridgehead_nodes{state="stopped"} 1`)
	a.relayctl("nodes").want("stopped")
	a.node.Stop(t)
}

// The commands in compose.yaml start nodes. Names and paths of containers are replaced.
func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^    command: (\[.*\])$`).FindAllSubmatch(text, -1)
	if len(commands) != 2 {
		t.Fatalf("%d commands", len(commands))
	}
	url := pgtest.Shared(t).Database(t)
	for _, c := range commands {
		var args []string
		if err := json.Unmarshal(c[1], &args); err != nil {
			t.Fatalf("%v: %s", err, c[1])
		}
		for i, a := range args {
			switch a {
			case ":25", "node-a:8025", "node-b:8025":
				args[i] = "127.0.0.1:0"
			case "postgres://relay@/mail?host=/var/run/postgresql":
				args[i] = url
			case "/data":
				args[i] = t.TempDir()
			}
		}
		p := peers.StartSelf(t, asMain, 1, args...)
		p.Signal(t, syscall.SIGHUP) // does not end it
		peers.Await(t, "the answer to SIGHUP", func() bool { return strings.Contains(p.Log(), "msg=reloaded") })
		p.Stop(t)
	}
}

// A consoleOf is the console of a node.
type consoleOf struct {
	t               *testing.T
	node            *node
	url, tokenFile  string
	relayctlCommand string
}

var consoleURL = regexp.MustCompile(`console: listening" url=(\S+)`)

// newConsoles finds the consoles of nodes, which have the flag -console-token.
func newConsoles(t *testing.T, nodes []*node, relayctl string) (consoles []*consoleOf) {
	t.Helper()
	for _, n := range nodes {
		c := &consoleOf{t: t, node: n, relayctlCommand: relayctl, tokenFile: n.args[len(n.args)-1]}
		peers.Await(t, "the console of "+n.name, func() bool {
			if m := consoleURL.FindStringSubmatch(n.Log()); m != nil {
				c.url = m[1]
			}
			return c.url != ""
		})
		consoles = append(consoles, c)
	}
	return consoles
}

// get returns a page.
func (c *consoleOf) get(path string) string {
	c.t.Helper()
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		c.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), "GET", c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(body)
}

// await waits until a page has the text.
func (c *consoleOf) await(path, text string) {
	c.t.Helper()
	peers.Await(c.t, text+" at "+path+" of "+c.node.name, func() bool { return strings.Contains(c.get(path), text) })
}

// run runs relayctl.
func (c *consoleOf) run(args ...string) (output string, err error) {
	cmd := exec.CommandContext(c.t.Context(), c.relayctlCommand, args...)
	cmd.Env = append(os.Environ(), "RELAYCTL_URL="+c.url, "RELAYCTL_TOKEN_FILE="+c.tokenFile)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// An output is what relayctl has printed.
type output struct {
	t    *testing.T
	text string
}

// relayctl runs relayctl, which must succeed.
func (c *consoleOf) relayctl(args ...string) output {
	c.t.Helper()
	text, err := c.run(args...)
	if err != nil {
		c.t.Fatalf("relayctl %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return output{c.t, text}
}

func (o output) want(texts ...string) {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.text, text) {
			o.t.Errorf("no %q in:\n%s", text, o.text)
		}
	}
}
