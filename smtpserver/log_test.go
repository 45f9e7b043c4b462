package smtpserver_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An operator who wants to know why a message did not arrive can find its log
// line by the recipient.
func TestRefusalsAreLoggedWithTheRecipient(t *testing.T) {
	var lines bytes.Buffer
	no := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "No"}
	srv := smtptest.NewServer(t, &smtpserver.Server{
		Logger: slog.New(slog.NewTextHandler(&lines, nil)),
		Agents: []smtpserver.Agent{{
			Name: "choosy",
			Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
				if strings.HasPrefix(to, "nobody@") {
					return no
				}
				return nil
			},
			EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return no },
		}},
	})
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<nobody@example.com>
		S: 550
		C: RCPT TO:<b@example.com>
		S: 250
		C: RCPT TO:<c@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: x
		C: .
		S: 550
		C: QUIT
		S: 221
		EOF
	`)
	srv.Close()
	for _, want := range []string{
		"by=choosy code=550 reply=No from=a@example.com to=nobody@example.com\n",
		"by=choosy code=550 reply=No from=a@example.com to=b@example.com recipients=2\n",
		"end=quit transactions=1 ",
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("not in the log: %q\n%s", want, lines.String())
		}
	}
}
