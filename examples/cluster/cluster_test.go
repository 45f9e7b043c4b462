//go:build unix

package main

import (
	"context"
	"errors"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A node delivers only for the domains of -domain and the networks of -allow.
func TestNoOpenRelay(t *testing.T) {
	t.Parallel()
	p := program.Program{Name: "cluster", New: func() program.Gateway { return new(cluster) }}
	relay, err := p.Assemble("-hostname", "mx.example.com", "-state", t.TempDir(), "-database", "postgres:///mail?host=/run", "-domain", "example.com=10.1.0.5")
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server), "example.com")
}

// A holdingSink is a mail server that answers the first message only when it is
// released.
type holdingSink struct {
	*smtptest.Server
	began   chan struct{} // closed when the first message is complete
	release context.CancelFunc
}

func newHoldingSink(t *testing.T) *holdingSink {
	t.Helper()
	held, release := context.WithCancel(context.Background())
	s := &holdingSink{began: make(chan struct{}), release: release}
	first, inbox := make(chan struct{}, 1), smtptest.NewInbox()
	first <- struct{}{}
	s.Server = smtptest.NewServer(t, &smtpserver.Server{
		Handler: smtpserver.HandlerFunc(func(ctx context.Context, session *smtpserver.Session, m *smtpserver.Message) (string, error) {
			select {
			case <-first:
				close(s.began)
				<-held.Done()
				return "", errors.New("too late")
			default:
				return inbox.Receive(ctx, session, m)
			}
		}),
	})
	s.Inbox = inbox
	t.Cleanup(release) // before the server closes
	return s
}

func send(t *testing.T, n *node, subject string) {
	t.Helper()
	smtptest.Talk(t, n.Addrs[0], `
		S: 220
		C: EHLO client.example.net
		S: 250
		C: MAIL FROM:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: `+subject+`
		C:
		C: text
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
}

// The message that a killed node was delivering is delivered by the other node, with the
// default settings within 20 s.
func TestKilledNode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags  []string
		within time.Duration
	}{
		"defaults": {nil, 20 * time.Second},
		"short":    {[]string{"-beat", "1s", "-dead-after", "4s"}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink, server := newHoldingSink(t), pgtest.Shared(t)
			nodes := newNodes(t, server, server.Database(t), sink.Addr, []string{"a", "b"}, test.flags...)
			send(t, nodes[0], "hello")
			<-sink.began
			nodes[0].Kill()
			killed := time.Now()
			m := sink.Inbox.Next(t)
			took := time.Since(killed)
			t.Logf("delivered %v after the kill", took)
			if m.Helo != "b.mx.example.com" || !strings.Contains(m.Text, "Subject: hello\r\n") {
				t.Errorf("from %s:\n%s", m.Helo, m.Text)
			}
			if took > test.within {
				t.Errorf("it took %v", took)
			}
			nodes[1].Stop(t)
		})
	}
}

// A node that is stopped by SIGTERM gives its messages to the others at once.
func TestStoppedNode(t *testing.T) {
	t.Parallel()
	sink, server := newHoldingSink(t), pgtest.Shared(t)
	nodes := newNodes(t, server, server.Database(t), sink.Addr, []string{"a", "b"}, "-beat", "5m", "-dead-after", "1h")
	send(t, nodes[0], "hello")
	<-sink.began
	nodes[0].Stop(t)
	if m := sink.Inbox.Next(t); m.Helo != "b.mx.example.com" {
		t.Errorf("from %s", m.Helo)
	}
	nodes[1].Stop(t)
}

// While the database cannot be reached, clients get 451 and readyz fails. Afterwards the node
// works again by itself.
func TestDatabaseUnavailable(t *testing.T) {
	t.Parallel()
	inbox := smtptest.NewInbox()
	sink, server := smtptest.NewServer(t, &smtpserver.Server{Handler: inbox}), pgtest.Shared(t)
	nodes := newNodes(t, server, server.Database(t), sink.Addr, []string{"a"},
		"-console", "127.0.0.1:0", "-console-token", filepath.Join(t.TempDir(), "token"))
	a, console := nodes[0], newConsoles(t, nodes, "")[0]
	console.await("readyz", `"ok":true`)
	a.proxy.Down()
	console.await("readyz", `"ok":false`)
	smtptest.Talk(t, a.Addrs[0], `
		S: 220
		C: EHLO client.example.net
		S: 250
		C: MAIL FROM:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: too early
		C:
		C: text
		C: .
		S: 451 4.3.0
		C: QUIT
		S: 221
	`)
	a.proxy.Up()
	console.await("readyz", `"ok":true`)
	send(t, a, "afterwards")
	if m := inbox.Next(t); !strings.Contains(m.Text, "Subject: afterwards\r\n") {
		t.Errorf("the mail is:\n%s", m.Text)
	}
	a.Stop(t)
}

// The nodes count the messages of a client together.
func TestHourly(t *testing.T) {
	t.Parallel()
	const limit = 400
	server := pgtest.Shared(t)
	nodes := newNodes(t, server, server.Database(t), "127.0.0.1:9", []string{"a", "b"}, "-hourly", strconv.Itoa(limit))
	var accepted [2]int
	for i, n := range nodes {
		client, err := smtp.Dial(n.Addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		mail := func() error {
			err := client.Mail("a@example.net")
			if err == nil {
				accepted[i]++
				err = client.Reset()
			}
			return err
		}
		peers.Await(t, "the limit", func() bool {
			for err = mail(); err == nil && i == 0; err = mail() {
			}
			return err != nil
		})
		if !strings.Contains(err.Error(), "450") {
			t.Errorf("node %s: %v", n.name, err)
		}
	}
	// The second node learns within some tenths of a second what the first has counted.
	if accepted[0] != limit || accepted[1] >= limit {
		t.Errorf("the nodes have accepted %d messages, the limit is %d", accepted, limit)
	}
	for _, n := range nodes {
		n.Stop(t)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	readable, ofGroup := peers.File(t, "secret\n"), peers.File(t, "secret\n")
	for file, mode := range map[string]os.FileMode{readable: 0o644, ofGroup: 0o640} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	const good = "-database postgres://127.0.0.1:1/mail -state /nowhere/at/all "
	const withPassword = "-database: must not have a password; use -database-password"
	for args, want := range map[string]string{
		"":                               "-database: is required",
		"-database x":                    "-state: is required",
		good:                             "-domain: is required",
		good + "-hourly -1":              "-hourly: must not be negative",
		good + "-domain example.com":     `-domain[0]: "example.com" is not domain=host`,
		good + "-domain example.com=h:0": "-domain[0]: ",
		good + "-upstream h:0":           "-upstream: ",
		good + "-allow printer":          `network "printer"`,
		good + "-domain example.com=h -dead-after 1s": "-dead-after: must be at least three times as long as -beat",
		good + "-beat 0s":               "-beat: must be more than 0s",
		good + "-spool /nowhere/at/all": "not defined: -spool",
		good + "25":                     `"25" is not a flag`,
		"-state s -domain example.com=h -database postgres://db.example.com/?sslmode=allow": "-database: postgres: the connection to db.example.com does not verify the server",
		"-database postgres://relay:secret@db.example.com/mail":                             withPassword,
		"-database postgres://db.example.com/mail?user=relay&password=secret":               withPassword,
		"-database postgres://db.example.com/mail?sslpassword=secret":                       withPassword,
		"-database password=secret":                                                         withPassword,
		good + "-database-password /nowhere/at/all":                                         "-database-password: open /nowhere/at/all: no such file",
		good + "-database-password " + readable:                                             "-database-password: " + readable + ": other users can read",
		good + "-domain example.com=h -database-password " + ofGroup:                        "the password file " + ofGroup + ": others may read it (mode 0640)",
	} {
		got := peers.RefuseSelf(t, asMain, strings.Fields(args)...)
		if !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
