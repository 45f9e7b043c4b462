package envelope

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// submitted is a queue that records recipients.
type submitted []string

func (q *submitted) Submit(_ context.Context, m *queue.Message) error {
	for _, r := range m.Recipients {
		*q = append(*q, r.Addr)
	}
	return nil
}

// The Gate accepts recipients that agents add, even if the client may not send to
// them. It accepts no other such recipients.
func TestGateAcceptsAddedRecipients(t *testing.T) {
	add := func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		Add(s, m, "archive@example.net")
		return nil
	}
	redirect := func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		Redirect(s, m, "quarantine@example.net")
		return nil
	}
	forget := func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		m.Recipients[0].Addr = "other@example.net"
		return nil
	}
	for _, c := range []struct {
		do   func(context.Context, *smtpserver.Session, *smtpserver.Message) error
		code int
		to   []string
	}{
		{add, 250, []string{"alice@example.com", "archive@example.net"}},
		{redirect, 250, []string{"quarantine@example.net"}},
		{forget, 550, nil},
	} {
		var q submitted
		gate := &policy.Gate{
			Domains: []policy.Domain{{Name: "example.com", Kind: policy.Authoritative, Directory: policy.Recipients("alice")}},
			Queue:   &q,
		}
		srv := &smtpserver.Server{Hostname: "relay.example.com", Agents: []smtpserver.Agent{{Name: "test", EndOfData: c.do}}}
		if err := gate.Install(srv); err != nil {
			t.Fatal(err)
		}
		s := agenttest.StartServer(t, srv)
		code, text := s.Dial(t).Send("a@example.org", []string{"alice@example.com"}, "Subject: x\r\n\r\n")
		if code != c.code || !slices.Equal(q, c.to) {
			t.Errorf("%d %s, to %q; want %d, %q", code, text, q, c.code, c.to)
		}
	}
}

// Adding and removing twice as many recipients takes about twice the work.
func TestAddIsLinear(t *testing.T) {
	measure := func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		was := m.Recipients
		defer func() { m.Recipients = was }()
		doubling.Allocations(t, "recipients", 200, func(n int) func() {
			var all []string
			for i := range n {
				all = append(all, fmt.Sprintf("a@bücher%d.bücher.example", i))
			}
			return func() {
				m.Recipients = nil
				Add(s, m, append(all, all...)...)
				if len(m.Recipients) != n {
					t.Errorf("%d recipients, want %d", len(m.Recipients), n)
				}
				Remove(m, all[1:]...)
				if len(m.Recipients) != 1 {
					t.Errorf("%d recipients are left, want 1", len(m.Recipients))
				}
			}
		})
		return nil
	}
	s := agenttest.Start(t, smtpserver.Agent{EndOfData: measure})
	c := s.Dial(t)
	c.Want(250, "MAIL FROM:<a@example.net>")
	c.Want(250, "RCPT TO:<b@example.com>")
	c.Want(354, "DATA")
	c.Want(250, "Subject: x\r\n\r\nx\r\n.")
}

// Mail in quarantine is an action of the server, by the agent that has sent it there.
func TestQuarantineIsObserved(t *testing.T) {
	actions := make(chan smtpserver.Action, 1)
	srv := &smtpserver.Server{
		Hostname: "relay.example.com",
		Observe:  func(_ *smtpserver.Session, a *smtpserver.Action) { actions <- *a },
		Agents: []smtpserver.Agent{{Name: "scanner", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			return Quarantine(s, m, "spam@example.com")
		}}},
	}
	s := agenttest.StartServer(t, srv)
	if code, text := s.Dial(t).Send("a@example.org", []string{"b@example.com", "c@example.com"}, "Subject: x\r\n\r\n"); code != 250 {
		t.Fatal(code, text)
	}
	a := <-actions
	if a.Kind != smtpserver.Quarantined || a.By != "scanner" || a.To != "spam@example.com" || !slices.Equal(a.Recipients, []string{"b@example.com", "c@example.com"}) {
		t.Errorf("%+v", a)
	}
}
