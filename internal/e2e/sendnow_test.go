package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An upstream is a server that defers all mail while it is busy.
type upstream struct {
	*smtptest.Server
	busy atomic.Bool
}

func newUpstream(t *testing.T) *upstream {
	u := new(upstream)
	u.busy.Store(true)
	u.Server = smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name: "busy",
		Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error {
			if u.busy.Load() {
				return smtpserver.Reject(451, "4.3.0", "The mailbox is being repaired")
			}
			return nil
		},
	}}})
	return u
}

// received wants the next messages to have these subjects, in any order, and no more.
func (u *upstream) received(t *testing.T, subjects ...string) {
	t.Helper()
	for range subjects {
		text := u.Inbox.Next(t).Text
		_, subject, _ := strings.Cut(text, "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		if !strings.Contains(" "+strings.Join(subjects, " ")+" ", " "+subject+" ") {
			t.Errorf("the upstream received %q, want one of %q", subject, subjects)
		}
	}
	if n := u.Inbox.Len(); n > 0 {
		t.Errorf("the upstream received %d messages more than %q", n, subjects)
	}
}

// sendNow is a smarthost whose upstreams defer, and relayctl for it.
type sendNow struct {
	t              *testing.T
	relayctl       string
	socket, listen string
}

func (s *sendNow) submit(from, subject string) {
	s.t.Helper()
	smtptest.Talk(s.t, s.listen, fmt.Sprintf("S: 220\nC: HELO printer.test\nS: 250\nC: MAIL FROM:<%s>\nS: 250\nC: RCPT TO:<b@example.net>\nS: 250\nC: DATA\nS: 354\nC: Subject: %s\nC:\nC: .\nS: 250\nC: QUIT\nS: 221", from, subject))
}

func (s *sendNow) run(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(s.relayctl, append(args[:len(args):len(args)], "-socket", s.socket)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("relayctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// messages returns the messages in the queue by subject. All of them must be waiting for
// their next attempt.
func (s *sendNow) messages(want int) map[string]waitingMessage {
	s.t.Helper()
	all := make(map[string]waitingMessage)
	peers.Await(s.t, fmt.Sprintf("%d messages after their first attempt", want), func() bool {
		clear(all)
		var page struct{ Messages []waitingMessage }
		if err := json.Unmarshal([]byte(s.run("messages", "-json", "-status", "retry")), &page); err != nil {
			s.t.Fatal(err)
		}
		for _, m := range page.Messages {
			all[m.Subject] = m
		}
		return len(all) == want
	})
	return all
}

type waitingMessage struct {
	ID, Subject string
	Queues      []struct{ Key string } // the next hops
}

// "Send now" for one message, for one next hop, and for everything: relayctl sends what
// waits after another server has deferred it, and nothing else.
func TestSendNow(t *testing.T) {
	t.Parallel()
	first, second := newUpstream(t), newUpstream(t)
	s := &sendNow{t: t, relayctl: peers.Build(t, "../../examples/relayctl"), socket: filepath.Join(t.TempDir(), "console", "socket")}
	p := peers.Start(t, peers.Build(t, "../../examples/smarthost"), 1, "-listen", "127.0.0.1:0", "-allow", "127.0.0.1", "-hostname", "relay.example.com",
		"-spool", t.TempDir(), "-console-socket", s.socket, "-upstream", first.Addr, "-upstream-for", "alarm@example.com "+second.Addr)
	s.listen = p.Addrs[0]
	s.submit("scan@example.com", "one")
	s.submit("scan@example.com", "two")
	s.submit("scan@example.com", "three")
	s.submit("alarm@example.com", "four")
	s.submit("alarm@example.com", "five")
	all := s.messages(5)
	first.busy.Store(false)
	second.busy.Store(false)

	s.run("retry", "message", all["two"].ID, "-yes", "-reason", "test")
	first.received(t, "two")
	s.messages(4)
	s.run("retry", "queue", all["five"].Queues[0].Key, "-yes", "-reason", "test")
	second.received(t, "four", "five")
	s.messages(2)
	s.run("retry", "all", "-yes", "-reason", "test")
	first.received(t, "one", "three")
	p.Stop(t)
}
