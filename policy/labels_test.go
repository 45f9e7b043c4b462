package policy

import (
	"context"
	"fmt"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Agents label a transaction at any event. The labels are in the queued message,
// and not in the next one of the session.
func TestEnqueuerKeepsLabels(t *testing.T) {
	srv, out := install(t, organization(), &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name: "label",
		Mail: func(_ context.Context, s *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if from == "someone@example.net" {
				s.Message().Options.SetLabel("tenant", "acme")
			}
			return nil
		},
		EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			m.Options.SetLabel("campaign", m.Header.Get("Subject"))
			return nil
		},
	}}})
	srv.Talk(t, stranger, envelope+body+`
		S: 250
		C: MAIL FROM:<other@example.net>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
	`+body+`
		S: 250
	`)
	for i, want := range []string{"map[campaign:hello tenant:acme]", "map[campaign:hello]"} {
		if got := fmt.Sprint(out.messages[i].Options.Labels); got != want {
			t.Errorf("message %d has labels %s, want %s", i, got, want)
		}
	}
}
