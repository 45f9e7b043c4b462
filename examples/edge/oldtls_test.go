package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Servers of the organization that have only TLS 1.0 can use it if the settings say
// so, and log in only if another setting says so.
func TestOldTLSFromOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	certificate, key := w.pemFiles("edge", smtptest.Certificate(t, "edge.example.com"))
	w.write("TLS", "cert: "+certificate+"\nkey: "+key, "SECURITY", "accounts: "+w.accounts("organization", "sesame"), "HOSTS", hosts("192.0.2.1"))
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "no TLS"},
		{[]string{"-receive.organization.old-tls"}, "TLS without AUTH"},
		{[]string{"-receive.organization.old-tls", "-receive.organization.old-tls-login"}, "TLS with AUTH"},
	} {
		w.start(c.flags...)
		if got := w.oldTLS(w.organization); got != c.want {
			t.Errorf("%v: %s, want %s", c.flags, got, c.want)
		}
		if got := w.oldTLS(w.internet); got != "no TLS" { // the internet is not affected
			t.Errorf("%v, from the internet: %s", c.flags, got)
		}
		w.p.Stop(t)
	}
}

// oldTLS begins a session with TLS 1.0, and returns what the server allows.
func (w *world) oldTLS(addr string) string {
	w.t.Helper()
	conn := w.dial("127.0.0.1", addr)
	smtptest.TalkOn(w.t, conn, greeting+"C: STARTTLS\nS: 220\n")
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10})
	defer conn.Close()
	if err := secure.Handshake(); err != nil {
		return "no TLS"
	}
	fmt.Fprint(secure, "EHLO client.test\r\n")
	lines, err := smtptest.ReadReply(bufio.NewReader(secure))
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.Contains(strings.Join(lines, "\n"), "AUTH") {
		return "TLS with AUTH"
	}
	return "TLS without AUTH"
}

// The edge uses TLS 1.0 with a server of the organization at the levels that need TLS,
// and logs in over it, only if the settings say so.
func TestOldTLSToOrganization(t *testing.T) {
	t.Parallel()
	cert := smtptest.Certificate(t, "mail.example.com")
	old := smtptest.NewServer(t, &smtpserver.Server{
		Hostname: "mail.example.com", InsecureOldTLS: true, InsecureOldTLSAuth: true,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS10},
		Auth: smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
			if user != "edge" || password != "sesame" {
				return smtp.ErrAuthFailed
			}
			return nil
		})})
	w := newWorld(t)
	roots, _ := w.pemFiles("roots", cert)
	w.write("HOSTS", hosts("mail.example.com:"+port(old.Addr)), "AUTH", "roots: "+roots)
	password := w.file("password", "sesame\n")
	for _, c := range []struct {
		flags    string
		identity string // "-": the mail waits
	}{
		{"-send.organization.tls domain", "-"},
		{"-send.organization.tls domain -send.organization.old-tls", ""},
		{"-send.organization.old-tls -send.organization.user edge -send.organization.password-file " + password, "-"},
		{"-send.organization.old-tls -send.organization.old-tls-login -send.organization.user edge -send.organization.password-file " + password, "edge"},
	} {
		w.start(append(strings.Fields(c.flags), "-spool", t.TempDir())...)
		w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "alice@example.com", ""))
		if c.identity == "-" {
			w.await("queue: deferred", 1)
		} else if m := old.Inbox.Next(t); m.Identity != c.identity {
			t.Errorf("%s: the mail came from %q", c.flags, m.Identity)
		}
		w.p.Stop(t)
	}
}
