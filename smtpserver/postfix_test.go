//go:build unix

package smtpserver_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// If clients deviate from the RFC, the first digit of the reply is the same as
// that of a real Postfix with default settings.
func TestDeviationsLikePostfix(t *testing.T) {
	postfix := (&peers.Postfix{Domains: "example.com"}).Start(t)
	s := generous()
	s.DefaultDomain = "example.com"
	ours := smtptest.NewServer(t, s)
	const (
		hello = "EHLO client.example\r\n"
		from  = hello + "MAIL FROM:<a@example.com>\r\n"
		to    = from + "RCPT TO:<b@example.com>\r\n"
	)
	for _, c := range []struct {
		before, line string
		differs      string // why ours is another reply than Postfix's
	}{
		{line: "EHLO my printer"}, {line: "HELO (none)"}, {line: "HELO Canon_iR-ADV(2)"}, {line: `HELO DOM\pc`}, {line: "HELO <pc>"},
		{line: "HELO J\u00fcrgen-PC"}, {line: "EHLO"}, {line: "EHLO\tclient.example"}, {line: "HELO  client.example "},
		{before: hello, line: "MAIL FROM:<a..b@docomo.example>"}, {before: hello, line: "MAIL FROM:<.a@docomo.example>"}, {before: hello, line: "MAIL FROM:<a.@docomo.example>"},
		{before: from, line: "RCPT TO:<a..b@example.com>"}, {before: from, line: "RCPT TO:<a.@example.com>"},
		{before: hello, line: "MAIL FROM:\t<a@example.com>"}, {before: hello, line: "MAIL FROM:<a@example.com>\tSIZE=10"}, {before: hello, line: "MAIL FROM:< a@example.com >"},
		{before: hello, line: "MAIL FROM:<a@example.com>  SIZE=10  BODY=8BITMIME"}, {before: hello, line: "MAIL\tFROM:<a@example.com>"}, {before: hello, line: "MAIL FROM:< >"},
		{before: from, line: "RCPT\tTO:\t<b@example.com>"}, {before: from, line: "RCPT TO:<\tb@example.com\t>"}, {before: from, line: "RCPT TO:<b@example.com>  NOTIFY=NEVER"},
		{before: hello, line: "MAIL FROM:<scanner>"}, {before: from, line: "RCPT TO:<postmaster>"},
		{before: hello, line: "MAIL FROM:<a@example.com.>"}, {before: from, line: "RCPT TO:<b@example.com.>"},
		{before: hello, line: "MAIL FROM:<a@example.com> SIZE=99999999999999999999999"},
		{before: hello, line: "MAIL FROM:<a@example.com> AUTH=<a@example.com>", differs: "neither offers AUTH here; Postfix says 503, we 555"},
		{before: to, line: "DATA\t"}, {before: to, line: "BDAT  0  LAST"}, {before: to, line: "BDAT\t0\tLAST"},
		{before: hello, line: "NOOP\tx"}, {before: hello, line: "RSET \t"}, {before: hello, line: "VRFY\tb@example.com"},
		{before: hello + "MAIL FROM:<a@example.com> SIZE=9999999999999\r\n", line: "RCPT TO:<b@example.com>"},
		{before: hello + "MAIL FROM:<a@example.com> SIZE=9999999999999\r\n", line: "DATA"},
	} {
		var got []string
		for _, addr := range []string{postfix.Addr, ours.Addr} {
			conn := dialRaw(t, addr)
			conn.expect("220")
			for line := range strings.Lines(c.before) {
				conn.send(line)
				conn.reply()
			}
			conn.send(c.line + "\r\n")
			got = append(got, strings.TrimSpace(conn.reply()))
		}
		if got[0][0] != got[1][0] && c.differs == "" {
			t.Errorf("%q: Postfix says %q, we %q", c.line, got[0], got[1])
		}
	}
}

// Postfix accepts lines that end in a bare LF, with and without
// smtpd_forbid_bare_newline. This server accepts them from the networks of
// BareLFFrom.
func TestBareLFLikePostfix(t *testing.T) {
	postfix := (&peers.Postfix{Domains: "example.com", Main: "smtpd_forbid_bare_newline = no\n"}).Start(t)
	ours := smtptest.NewServer(t, &smtpserver.Server{BareLFFrom: loopback})
	for _, addr := range []string{postfix.Addr, ours.Addr} {
		conn := dialRaw(t, addr)
		conn.expect("220")
		conn.send("EHLO client.example\n")
		conn.expect("250")
		conn.send("MAIL FROM:<a@example.com>\nRCPT TO:<b@example.com>\nDATA\n")
		conn.expect("250", "250", "354")
		conn.send("Subject: x\n\n..a\nb\n.\nQUIT\n")
		conn.expect("250", "221")
	}
	if got := ours.Inbox.Next(t).Text; got != "Subject: x\r\n\r\n.a\r\nb\r\n" {
		t.Errorf("ours is %q", got)
	}
	if got := postfix.Next(t); !strings.HasSuffix(got, "\n\n.a\nb\n") {
		t.Errorf("Postfix's is %q", got)
	}
}

// Postfix with smtpd_discard_ehlo_keywords refuses the parameters of DSN
// permanently (501 5.7.1), as this server does (555 5.5.4, RFC 5321, 4.1.1.11).
func TestNoDSNLikePostfix(t *testing.T) {
	postfix := (&peers.Postfix{Domains: "example.com", Main: "smtpd_discard_ehlo_keywords = dsn\n"}).Start(t)
	ours := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{dsnFor(func(*smtpserver.Session, string) bool { return false })}})
	for _, addr := range []string{postfix.Addr, ours.Addr} {
		if r := ehlo(t, addr, "client.example"); strings.Contains(r, "DSN") {
			t.Errorf("DSN is announced:\n%s", r)
		}
		for _, params := range [][2]string{{"RET=HDRS", ""}, {"ENVID=x", ""}, {"", "NOTIFY=SUCCESS"}, {"", "ORCPT=rfc822;b@example.com"}} {
			c := dialRaw(t, addr)
			c.expect("220")
			c.send("EHLO client.example\r\n")
			c.expect("250")
			c.send("MAIL FROM:<a@example.com> " + params[0] + "\r\n")
			if params[0] != "" {
				c.expect("5")
				continue
			}
			c.expect("250")
			c.send("RCPT TO:<b@example.com> " + params[1] + "\r\n")
			c.expect("5")
		}
	}
}
