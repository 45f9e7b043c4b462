package policy

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// stranger is a client that nobody knows; neighbour is in the organisation's
// own network.
const (
	stranger  = "192.0.2.1"
	neighbour = "10.1.2.3"
)

// install serves a Gate's judgement in memory. What it lets through is in the
// outbox.
func install(t testing.TB, g *Gate, srv *smtpserver.Server) (*policytest.Server, *outbox) {
	t.Helper()
	if srv == nil {
		srv = new(smtpserver.Server)
	}
	if srv.Hostname == "" {
		srv.Hostname = "relay.example.com"
	}
	out := new(outbox)
	if g.Queue == nil {
		g.Queue = out
	}
	if err := g.Install(srv); err != nil {
		t.Fatal(err)
	}
	return policytest.New(t, srv), out
}

// outbox is a Submitter that keeps what it gets.
type outbox struct {
	mu       sync.Mutex // guards what follows
	messages []*queue.Message
	err      error
}

func (o *outbox) Submit(_ context.Context, m *queue.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.messages = append(o.messages, m)
	return nil
}

// only is the one message that came.
func (o *outbox) only(t testing.TB) *queue.Message {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages) != 1 {
		t.Fatalf("%d messages were handed over, want 1", len(o.messages))
	}
	return o.messages[0]
}

func (o *outbox) empty(t testing.TB) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.messages); n > 0 {
		t.Errorf("%d messages were handed over, to %s, ...", n, o.messages[0].Recipients[0].Addr)
	}
}

// text is a message's content.
func text(t testing.TB, m *queue.Message) string {
	t.Helper()
	var b strings.Builder
	if _, err := m.Content.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// passwords lets everybody in whose password is their name backwards.
func passwords() smtpserver.Authenticator {
	return smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
		if len(user) != len(password) || user == "" {
			return errors.New("wrong password")
		}
		for i := range len(user) {
			if user[i] != password[len(user)-1-i] {
				return errors.New("wrong password")
			}
		}
		return nil
	})
}

// serveAgents serves in memory what some agents let through.
func serveAgents(t testing.TB, agents ...smtpserver.Agent) *policytest.Server {
	t.Helper()
	return policytest.New(t, &smtpserver.Server{Agents: agents})
}
