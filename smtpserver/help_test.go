package smtpserver_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// verbsOf returns the verbs in the reply to HELP.
func verbsOf(t *testing.T, reply string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(reply, "\n"), "\n")
	if len(lines) < 3 || lines[0] != "214-2.0.0 Commands:" || lines[len(lines)-1] != "214 2.0.0 Send HELP and a command for its syntax" {
		t.Fatalf("reply to HELP:\n%s", reply)
	}
	verbs := ""
	for _, l := range lines[1 : len(lines)-1] {
		text, ok := strings.CutPrefix(l, "214-2.0.0 ")
		if !ok || len(text) > 60 {
			t.Errorf("line %q", l)
		}
		verbs += " " + text
	}
	return strings.TrimSpace(verbs)
}

// HELP lists the commands that the session offers, before and after EHLO.
func TestHelp(t *testing.T) {
	etrn := smtpserver.Agent{Help: func(s *smtpserver.Session) []string {
		if s.Identity() == "" {
			return []string{"ETRN node", "VRFY mailbox"}
		}
		return []string{"ETRN node", "ATRN [domain,...]"}
	}}
	config, _ := smtptest.TLSConfig(t)
	for _, c := range []struct {
		name string
		srv  *smtpserver.Server
		want string
	}{
		{"default", &smtpserver.Server{}, "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT HELP"},
		{"LMTP", &smtpserver.Server{LMTP: true}, "LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT HELP"},
		{"no BDAT", &smtpserver.Server{Disable: smtpserver.ExtChunking}, "EHLO HELO MAIL RCPT DATA RSET NOOP QUIT HELP"},
		{"all", &smtpserver.Server{Enable: smtpserver.ExtVrfy | smtpserver.ExtExpn, XClientFrom: loopback, Auth: wonderland(), AllowInsecureAuth: true},
			"EHLO HELO AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP XCLIENT"},
		{"AUTH needs TLS", &smtpserver.Server{Auth: wonderland(), TLSConfig: config},
			"EHLO HELO STARTTLS MAIL RCPT DATA BDAT RSET NOOP QUIT HELP"},
		{"TLS required", &smtpserver.Server{Auth: wonderland(), TLSConfig: config, TLSMode: smtpserver.TLSRequired, Agents: []smtpserver.Agent{etrn}},
			"EHLO HELO STARTTLS NOOP QUIT HELP"},
		{"agent", &smtpserver.Server{Enable: smtpserver.ExtVrfy, Agents: []smtpserver.Agent{etrn, etrn}}, "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP ETRN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := smtptest.NewServer(t, c.srv)
			r := dialRaw(t, s.Addr)
			r.reply()
			r.send("HELP\r\n")
			if got := verbsOf(t, r.reply()); got != c.want {
				t.Errorf("HELP lists\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The list follows the session: AUTH goes after the login, STARTTLS goes and
// AUTH comes with TLS.
func TestHelpFollowsTheSession(t *testing.T) {
	srv := &smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true, Agents: []smtpserver.Agent{{
		Help: func(s *smtpserver.Session) []string {
			if s.Identity() == "" {
				return nil
			}
			return []string{"ATRN [domain,...]"}
		}}}}
	s := smtptest.NewServer(t, srv)
	smtptest.Talk(t, s.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: HELP atrn
		S: 504 5.5.4 No help for this command: send HELP for a list
		C: HELP AUTH
		S: 214 2.0.0 Syntax: AUTH mechanism [initial-response]
		C: AUTH PLAIN `+b64("\x00alice\x00wonderland")+`
		S: 235
		C: HELP AUTH
		S: 504 5.5.4
		C: HELP atrn
		S: 214 2.0.0 Syntax: ATRN [domain,...]
	`)

	withoutTLS := withTLS(t, smtpserver.TLSOffered)
	withoutTLS.Auth = wonderland()
	s = smtptest.NewServer(t, withoutTLS)
	smtptest.Talk(t, s.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: HELP AUTH
		S: 504 5.5.4
		C: HELP STARTTLS
		S: 214 2.0.0 Syntax: STARTTLS
		C: STARTTLS
		S: 220
		TLS
		C: HELP AUTH
		S: 214 2.0.0 Syntax: AUTH
		C: HELP STARTTLS
		S: 504 5.5.4
	`)
}

// Every command of the server has a line, so that none is missing in the list.
func TestHelpHasEveryCommand(t *testing.T) {
	for _, verb := range smtpserver.Verbs() {
		if !slices.ContainsFunc(smtpserver.HelpLines(), func(l string) bool { return strings.HasPrefix(l+" ", verb+" ") }) {
			t.Errorf("HELP has no line for %s", verb)
		}
	}
}

// HELP does not disturb a transaction. A refusal of an unknown command is a
// protocol error as others are.
func TestHelpOfACommand(t *testing.T) {
	s := smtptest.NewServer(t, &smtpserver.Server{})
	smtptest.Talk(t, s.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 HELP
		C: MAIL FROM:<a@example.com>
		S: 250
		C: HELP rcpt
		S: 214 2.0.0 Syntax: RCPT TO:<address> [parameter=value ...]
		C: HELP MAIL FROM
		S: 214 2.0.0 Syntax: MAIL FROM:<address> [parameter=value ...]
		C: HELP VRFY
		S: 504 5.5.4
		C: HELP XYZZY
		S: 504 5.5.4
		C: RCPT TO:<b@example.com>
		S: 250
	`)
}

// An agent that answers HELP itself replaces the list, and the lines of a long
// list are bounded.
func TestHelpOfAgents(t *testing.T) {
	var many []string
	for range 30 {
		many = append(many, "X"+strings.Repeat("y", 40+len(many))+" argument")
	}
	s := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Help: func(*smtpserver.Session) []string { return many },
		Command: func(_ context.Context, _ *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			if verb != "HELP" || arg != "ME" {
				return nil, nil
			}
			return &smtpserver.Reply{Code: 214, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Lines: []string{"Ask postmaster"}}, nil
		}}}})
	c := dialRaw(t, s.Addr)
	c.reply()
	c.send("HELP ME\r\n")
	c.expect("214 2.0.0 Ask postmaster")
	c.send("HELP\r\n")
	if n := strings.Count(c.reply(), "\n"); n != 33 { // header, 1 + 30, footer
		t.Errorf("%d lines", n)
	}
}
