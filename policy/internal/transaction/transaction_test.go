package transaction_test

import (
	"context"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type note struct{ from string }

// A value belongs to one transaction. Get returns nil in the next transaction of the
// session, and without a transaction.
func TestGetInOneTransaction(t *testing.T) {
	var found []*note
	look := func(s *smtpserver.Session) { found = append(found, transaction.Get[note](s, s.Message())) }
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name: "first only",
		Connect: func(_ context.Context, s *smtpserver.Session) error {
			look(s)
			return nil
		},
		EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			if m.From == "first@example.org" {
				transaction.Set(s, m, &note{m.From})
			}
			look(s)
			if n := len(transaction.Fields(m)); n != 1 {
				t.Errorf("%d fields", n)
			}
			if ip := transaction.ClientIP(s); ip.String() != "192.0.2.1" {
				t.Errorf("client %s", ip)
			}
			return nil
		},
	}}})
	message := "\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: s\nC: \nC: x\nC: .\nS: 250\n"
	srv.Talk(t, "192.0.2.1", "S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<first@example.org>"+message+"C: MAIL FROM:<second@example.org>"+message+"C: QUIT\nS: 221\n")
	if len(found) != 3 || found[0] != nil || found[1] == nil || found[1].from != "first@example.org" || found[2] != nil {
		t.Errorf("found %v", found)
	}
}
