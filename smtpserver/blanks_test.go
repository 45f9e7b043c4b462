package smtpserver_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Tabs and several spaces separate the parts of a command, in all verbs. Postfix
// 3.7 takes the same.
func TestWhiteSpaceSeparates(t *testing.T) {
	s := generous()
	s.Auth, s.AllowInsecureAuth, s.XClientFrom = wonderland(), true, loopback
	s.Agents = []smtpserver.Agent{echo("VRFY", "EXPN", "ETRN", "ATRN", "HELP")}
	srv := smtptest.NewServer(t, s)
	login := b64("\x00alice\x00wonderland")
	for _, c := range []struct{ before, line, want string }{
		{"", "EHLO\tclient.example", "250 test.example greets client.example\n"},
		{"", "HELO \t client.example\t ", "250"},
		{"EHLO", "MAIL\tFROM:\t<a@example.com>\tSIZE=10", "250"},
		{"EHLO", "MAIL  FROM:  <a@example.com>  SIZE=10  BODY=8BITMIME", "250"},
		{"EHLO", "MAIL FROM:< a@example.com >", "250"},
		{"EHLO", "MAIL FROM:<\ta@example.com\t>", "250"},
		{"EHLO", "MAIL FROM:< >", "250"},
		{"MAIL", "RCPT\tTO:\t< b@example.com >\tNOTIFY=NEVER", "250"},
		{"MAIL", "RCPT  TO:<b@example.com>  NOTIFY=NEVER  ORCPT=rfc822;b@example.com", "250"},
		{"MAIL", "RCPT TO:<\tPostmaster >", "250"},
		{"RCPT", "DATA\t", "354"},
		{"RCPT", "BDAT\t0\tLAST", "250"},
		{"RCPT", "BDAT  0  LAST", "250"},
		{"RCPT", "RSET\t ", "250"},
		{"EHLO", "NOOP\tx", "250"},
		{"EHLO", "QUIT\t", "221"},
		{"EHLO", "VRFY\tbob", "250 VRFY [bob]"},
		{"EHLO", "EXPN \tlist", "250 EXPN [list]"},
		{"EHLO", "ETRN\texample.com", "250 ETRN [example.com]"},
		{"EHLO", "ATRN  example.com", "250 ATRN [example.com]"},
		{"EHLO", "HELP\tMAIL", "250 HELP [MAIL]"},
		{"EHLO", "AUTH\tPLAIN\t" + login, "235"},
		{"EHLO", "AUTH  PLAIN  " + login, "235"},
		{"EHLO", "XCLIENT\tADDR=192.0.2.7\tHELO=client.example", "220"},
		// These octets are no separators.
		{"EHLO", "MAIL FROM:<a @example.com>", "501"},
		{"EHLO", "MAIL FROM:<a@ example.com>", "501"},
		{"EHLO", "MAIL FROM:<a@example.com>SIZE=10", "501"},
		{"RCPT", "DATA x", "501"},
		{"RCPT", "BDAT 0 0 LAST", "501"},
	} {
		t.Run(c.line, func(t *testing.T) {
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			for _, step := range []struct{ verb, line string }{{"EHLO", "EHLO x"}, {"MAIL", "MAIL FROM:<a@example.com>"}, {"RCPT", "RCPT TO:<b@example.com>"}} {
				if c.before == "" {
					break
				}
				conn.send(step.line + "\r\n")
				conn.expect("250")
				if step.verb == c.before {
					break
				}
			}
			conn.send(c.line + "\r\n")
			if got := strings.ReplaceAll(conn.reply(), "250-", "250 "); !strings.HasPrefix(got, c.want) {
				t.Errorf("reply %q, want %q", got, c.want)
			}
		})
	}
}

// An AUTH line with a tab may be as long as one with a space.
func TestLongAuthLineWithTab(t *testing.T) {
	s := generous()
	s.Auth, s.AllowInsecureAuth = wonderland(), true
	srv := smtptest.NewServer(t, s)
	long := strings.Repeat("YWJj", 2000)
	for line, want := range map[string]string{"AUTH\tPLAIN\t" + long: "535", "NOOP\t" + long: "500 5.5.2 Line is too long"} {
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO x\r\n")
		conn.expect("250")
		conn.send(line + "\r\n")
		conn.expect(want)
	}
}

// echo replies to a command with the command.
func echo(verbs ...string) smtpserver.Agent {
	return smtpserver.Agent{Name: "echo", Command: func(_ context.Context, _ *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
		if !slices.Contains(verbs, verb) {
			return nil, nil
		}
		return &smtpserver.Reply{Code: 250, Lines: []string{verb + " [" + arg + "]"}}, nil
	}}
}
