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

// The arguments of Reject are the reply. With arguments that are not valid, the
// server still refuses, and the log names the mistake.
func TestReject(t *testing.T) {
	for _, c := range []struct {
		code           int
		enhanced, text string
		reply          string
		mistake        string // in the log
	}{
		{550, "5.7.1", "Not here", "550 5.7.1 Not here", ""},
		{450, "4.7.1", "Later", "450 4.7.1 Later", ""},
		{599, "5.999.999", "", "599 5.999.999 ", ""},
		{400, "", "Later", "400 4.0.0 Later", ""},
		{554, "", "No", "554 5.0.0 No", ""},
		{550, "5.7.1", "one\r\n250 two", "550 5.7.1 250 two", ""},

		{250, "2.0.0", "Fine", "451 4.3.0 ", "code 250 is not from 400 to 599"},
		{354, "", "Go on", "451 4.3.0 ", "code 354 is not from 400 to 599"},
		{0, "", "", "451 4.3.0 ", "code 0 is not from 400 to 599"},
		{600, "5.0.0", "No", "451 4.3.0 ", "code 600 is not from 400 to 599"},
		{-550, "5.7.1", "No", "451 4.3.0 ", "code -550 is not from 400 to 599"},
		{550, "4.7.1", "No", "451 4.3.0 ", "the enhanced status code 4.7.1 does not fit the code 550"},
		{450, "5.7.1", "No", "451 4.3.0 ", "the enhanced status code 5.7.1 does not fit the code 450"},
		{550, "5.7", "No", "451 4.3.0 ", `\"5.7\" is not an enhanced status code`},
		{550, "5.7.1.1", "No", "451 4.3.0 ", `\"5.7.1.1\" is not`},
		{550, "5.7.1000", "No", "451 4.3.0 ", `\"5.7.1000\" is not`},
		{550, "5.+7.1", "No", "451 4.3.0 ", `\"5.+7.1\" is not`},
		{550, "5.07.1", "No", "451 4.3.0 ", `\"5.07.1\" is not`},
		{550, "No", "5.7.1", "451 4.3.0 ", `\"No\" is not`},
	} {
		var lines bytes.Buffer
		srv := smtptest.NewServer(t, &smtpserver.Server{
			Logger: slog.New(slog.NewTextHandler(&lines, nil)),
			Agents: []smtpserver.Agent{{
				Name: "choosy",
				Mail: func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error {
					return smtpserver.Reject(c.code, c.enhanced, c.text)
				},
			}},
		})
		smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\nS: "+c.reply+"\nC: QUIT\nS: 221\nEOF\n")
		srv.Close()
		if got := strings.Contains(lines.String(), "Reject: "); got != (c.mistake != "") || !strings.Contains(lines.String(), c.mistake) {
			t.Errorf("%d %s: the log must name %q:\n%s", c.code, c.enhanced, c.mistake, lines.String())
		}
	}
}
