package smtpserver_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// dsnFor is an agent that offers DSN where offers says so.
func dsnFor(offers func(s *smtpserver.Session, name string) bool) smtpserver.Agent {
	return smtpserver.Agent{Name: "dsn", Helo: func(_ context.Context, s *smtpserver.Session, name string) error {
		s.SetDSN(offers(s, name))
		return nil
	}}
}

// ehlo returns the reply to EHLO.
func ehlo(t *testing.T, addr, name string) string {
	t.Helper()
	c := dialRaw(t, addr)
	c.expect("220")
	c.send("EHLO " + name + "\r\n")
	return c.reply()
}

// An agent selects the sessions in which DSN is announced. In the others, the
// parameters of MAIL and RCPT are refused. Each greeting decides again.
func TestSetDSN(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		dsnFor(func(_ *smtpserver.Session, name string) bool { return name == "known.example" }),
	}})
	if r := ehlo(t, srv.Addr, "known.example"); !strings.Contains(r, "250-DSN\n") {
		t.Errorf("DSN is not announced:\n%s", r)
	}
	if r := ehlo(t, srv.Addr, "stranger.example"); strings.Contains(r, "DSN") {
		t.Errorf("DSN is announced:\n%s", r)
	}
	const refused = `
		C: MAIL FROM:<a@example.com> RET=HDRS
		S: 555 5.5.4
		C: MAIL FROM:<a@example.com> ENVID=x
		S: 555 5.5.4
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com> NOTIFY=NEVER
		S: 555 5.5.4
		C: RCPT TO:<b@example.com> ORCPT=rfc822;b@example.com
		S: 555 5.5.4
		C: RCPT TO:<b@example.com>
		S: 250
	`
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO stranger.example
		S: 250
	`+refused+`
		C: EHLO known.example
		S: 250 DSN
		C: MAIL FROM:<a@example.com> RET=HDRS ENVID=x
		S: 250
		C: RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;b@example.com
		S: 250
		C: HELO stranger.example
		S: 250
	`+refused)
}

// What an agent does after the greeting does not refuse parameters of a keyword
// that was announced.
func TestSetDSNAfterTheGreeting(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			s.SetDSN(false)
			return nil
		},
	}}})
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 DSN
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com> NOTIFY=NEVER
		S: 250
	`)
}

// AuthOffered agrees with the reply to EHLO.
func TestAuthOffered(t *testing.T) {
	config, _ := smtptest.TLSConfig(t)
	auth := smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return errors.New("wrong") })
	for _, c := range []struct {
		srv           *smtpserver.Server
		before, after bool // STARTTLS
	}{
		{&smtpserver.Server{TLSConfig: config}, false, false},
		{&smtpserver.Server{TLSConfig: config, Auth: auth}, false, true},
		{&smtpserver.Server{TLSConfig: config, Auth: auth, AllowInsecureAuth: true}, true, true},
	} {
		c.srv.Agents = []smtpserver.Agent{dsnFor(func(s *smtpserver.Session, _ string) bool { return s.AuthOffered() })}
		srv := smtptest.NewServer(t, c.srv)
		conn, err := net.Dial("tcp", srv.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		keyword := func(announced bool) string {
			if announced {
				return "S: 250 DSN\n"
			}
			return "S: 250\nC: MAIL FROM:<a@example.com> RET=HDRS\nS: 555\n"
		}
		smtptest.TalkOn(t, conn, "S: 220\nC: EHLO client.example\n"+keyword(c.before)+"C: STARTTLS\nS: 220\nTLS\nC: EHLO client.example\n"+keyword(c.after))
	}
}
