package smtpserver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// refuseSpam is an agent that defers one sender.
var refuseSpam = smtpserver.Agent{Name: "spam", Mail: func(_ context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
	if from == "spam@example.net" {
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}
	}
	return nil
}}

// A client that pipelines has sent the whole transaction before it knows that
// MAIL was refused. The commands that fail because of the refusal do not count
// as errors.
func TestBatchAfterRefusedMail(t *testing.T) {
	for name, c := range map[string]struct{ mail, want string }{
		"by an agent":        {"MAIL FROM:<spam@example.net>", "450 4.7.1"},
		"for its syntax":     {"MAIL FROM:<a@@example.net>", "501 5.1.7"},
		"for its parameters": {"MAIL FROM:<a@example.net> SIZE=x", "501 5.5.4"},
		"for its size":       {"MAIL FROM:<a@example.net> SIZE=99999999999", "552 5.3.4"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{refuseSpam}})
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			conn.send("EHLO client.example\r\n")
			conn.expect("250")
			const n = 50
			conn.send(c.mail + "\r\n" + strings.Repeat("RCPT TO:<b@example.com>\r\n", n) + "DATA\r\n")
			conn.expect(c.want)
			for range n + 1 {
				conn.expect("503 5.5.1")
			}
			conn.send(c.mail + "\r\n" + strings.Repeat("RCPT TO:<b@example.com>\r\n", n) + "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n")
			conn.expect(c.want)
			for range n + 2 {
				conn.expect("503 5.5.1")
			}
			conn.send("MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
			conn.expect("250", "250", "354")
			conn.send("Subject: x\r\n\r\n.\r\n")
			conn.expect("250")
		})
	}
}

// A refused MAIL and the commands after it count as one error.
func TestRefusedMailCounts(t *testing.T) {
	for mail, want := range map[string]string{"MAIL FROM:<spam@example.net>": "450", "MAIL FROM:<a@@example.net>": "501"} {
		srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{refuseSpam}, Limits: smtpserver.Limits{ProtocolErrors: 2}})
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO client.example\r\n")
		conn.expect("250")
		for range 2 {
			conn.send(mail + "\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n")
			conn.expect(want, "503", "503", "503")
		}
		conn.send(mail + "\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
		var replies []string
		for {
			r := conn.reply()
			replies = append(replies, r[:3])
			if r[:3] == "421" {
				break
			}
		}
		conn.gone()
		if len(replies) > 3 || slices.Contains(replies, "250") {
			t.Errorf("after %s: %q", mail, replies)
		}
	}
}

// If an agent refuses MAIL and the client sends no further commands of the
// transaction, this is no protocol error.
func TestRefusedMailIsNoProtocolError(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{refuseSpam}})
	conn := dialRaw(t, srv.Addr)
	conn.expect("220")
	conn.send("EHLO client.example\r\n")
	conn.expect("250")
	for range 20 {
		conn.send("MAIL FROM:<spam@example.net>\r\n")
		conn.expect("450")
	}
}

// Beyond the recipient limit, and after any other command, errors count again.
func TestUncountedErrorsAreLimited(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		codes string // of the replies before 421
	}{
		"more than a message may have recipients": {
			append([]string{"MAIL FROM:<a@@example.net>"}, slices.Repeat([]string{"RCPT TO:<b@example.com>"}, 20)...),
			"501" + strings.Repeat(" 503", 11)},
		"as many chunks": {
			append([]string{"MAIL FROM:<a@@example.net>"}, slices.Repeat([]string{"BDAT 0"}, 20)...),
			"501" + strings.Repeat(" 503", 11)},
		"after another command": {
			append([]string{"MAIL FROM:<a@@example.net>", "RCPT TO:<b@example.com>", "NOOP"}, slices.Repeat([]string{"RCPT TO:<b@example.com>"}, 20)...),
			"501 503 250 503"},
		"without MAIL": {
			slices.Repeat([]string{"RCPT TO:<b@example.com>"}, 20),
			"503 503"},
		"recipients with bad syntax": {
			append([]string{"MAIL FROM:<a@example.net>"}, slices.Repeat([]string{"RCPT TO:<b@@example.com>"}, 20)...),
			"250" + strings.Repeat(" 501", 12)},
	} {
		t.Run(name, func(t *testing.T) {
			srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{ProtocolErrors: 1, Recipients: 10}})
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			conn.send("EHLO client.example\r\n")
			conn.expect("250")
			conn.send(strings.Join(c.lines, "\r\n") + "\r\n")
			var codes []string
			for {
				r := conn.reply()
				if r[:3] == "421" {
					break
				}
				codes = append(codes, r[:3])
			}
			if got := strings.Join(codes, " "); got != c.codes {
				t.Errorf("replies %s, want %s", got, c.codes)
			}
		})
	}
}

// A recipient with bad syntax does not affect the other recipients.
func TestRecipientsWithBadSyntax(t *testing.T) {
	for _, bad := range []string{"RCPT TO:<b@@example.com>", "RCPT TO:<>", "RCPT TO:<b@example.com> NOTIFY=MAYBE", "RCPT b@example.com"} {
		for _, lmtp := range []bool{false, true} {
			srv := smtptest.NewServer(t, &smtpserver.Server{LMTP: lmtp})
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			conn.send(map[bool]string{false: "EHLO", true: "LHLO"}[lmtp] + " client.example\r\n")
			conn.expect("250")
			conn.send("MAIL FROM:<a@example.net>\r\n" + strings.Repeat(bad+"\r\n", 100) + "RCPT TO:<good@example.com>\r\nDATA\r\n")
			conn.expect("250")
			for range 100 {
				conn.expect("501")
			}
			conn.expect("250", "354")
			conn.send("Subject: x\r\n\r\n.\r\n")
			conn.expect("250")
			if to := srv.Inbox.Next(t).To(); fmt.Sprint(to) != "[good@example.com]" {
				t.Errorf("recipients %q", to)
			}
		}
	}
}

// If all recipients have bad syntax, DATA is refused, and no error is counted.
func TestOnlyRecipientsWithBadSyntax(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{ProtocolErrors: 1}})
	conn := dialRaw(t, srv.Addr)
	conn.expect("220")
	conn.send("EHLO client.example\r\n")
	conn.expect("250")
	for range 5 {
		conn.send("MAIL FROM:<a@example.net>\r\nRCPT TO:<b@@example.com>\r\nRCPT TO:<c@@example.com>\r\nDATA\r\nRSET\r\n")
		conn.expect("250", "501", "501", "554 5.5.1", "250")
	}
}
