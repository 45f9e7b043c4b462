package envelope

import (
	"context"
	"slices"
	"testing"

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
