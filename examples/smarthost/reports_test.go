package main

import (
	"context"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An upstream that refuses the null reverse-path, as Amazon SES does, accepts
// reports from the address of -report-sender.
func TestReportSender(t *testing.T) {
	up := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Mail: func(_ context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if from == "" {
				return &smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 1, 7}, Message: "Invalid MAIL FROM address provided"}
			}
			return nil
		},
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if to == "unknown@example.net" {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
			}
			return nil
		},
	}}})
	p := start(t, t.TempDir(), up.Addr, nil, "-report-sender", "bounces@example.com")
	smtptest.Talk(t, p.Addrs[0], `
		S: 220
		C: HELO printer.example.com
		S: 250
		C: MAIL FROM:<printer@example.com>
		S: 250
		C: RCPT TO:<unknown@example.net>
		S: 250
		C: DATA
		S: 354
		C: Subject: scan
		C:
		C: page 1
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	m := up.Inbox.Next(t)
	if m.From != "bounces@example.com" || m.Recipients[0].Addr != "printer@example.com" || !strings.Contains(m.Text, "Final-Recipient: rfc822; unknown@example.net") {
		t.Errorf("from %s to %s:\n%s", m.From, m.Recipients[0].Addr, m.Text)
	}
	p.Stop(t)
}
