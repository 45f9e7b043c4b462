package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"golang.org/x/crypto/bcrypt"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Basic authentication over TLS in both directions: the edge logs in to two
// servers of the organization, which share the mail, and the organization logs in
// to the edge.
func TestBasicAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert := smtptest.Certificate(t, "mail.example.com")
	member := func() *smtptest.Server {
		return smtptest.NewServer(t, &smtpserver.Server{Hostname: "mail.example.com",
			Limits:    smtpserver.Limits{SessionMessages: 1}, // in a session: sessions are balanced, not messages
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
			Auth: smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
				if user != "edge" || password != "edge's password" {
					return smtp.ErrAuthFailed
				}
				return nil
			})})
	}
	one, two, internet := member(), member(), smtptest.NewServer(t, nil)
	roots, _ := w.pemFiles("roots", cert)
	certificate, key := w.pemFiles("edge", smtptest.Certificate(t, "edge.example.com"))
	accounts := w.accounts("organization", "the organization's")
	password := w.file("password", "edge's password\n")
	w.write("PORT", port(internet.Addr), "TLS", "cert: "+certificate+"\nkey: "+key, "SECURITY", "accounts: "+accounts,
		"HOSTS", `[{host: "mail.example.com:`+port(one.Addr)+`"}, {host: "mail.example.com:`+port(two.Addr)+`"}]`,
		"AUTH", "user: edge\n    password-file: "+password+"\n    roots: "+roots)
	w.start()

	// Inbound. Each session goes to a random server. All 40 go to one server
	// with a probability of 2^-39.
	const messages = 40
	w.talk("127.0.0.1", w.internet, greeting+strings.Repeat(message("carol@example.net", "alice@example.com", ""), messages))
	peers.Await(t, "all messages", func() bool { return one.Inbox.Len()+two.Inbox.Len() == messages })
	for _, srv := range []*smtptest.Server{one, two} {
		if srv.Inbox.Len() == 0 {
			t.Error("the mail is not balanced")
		} else if m := srv.Inbox.Next(t); m.Identity != "edge" || m.Protocol != "ESMTPSA" {
			t.Errorf("the mail came by %s from %q", m.Protocol, m.Identity)
		}
	}

	// Outbound.
	if out, err := peers.Swaks(t, "--server", w.organization, "--from", "alice@example.com", "--to", "carol@example.net",
		"--tls", "--auth-user", "Organization", "--auth-password", "the organization's"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := internet.Inbox.Next(t); m.To()[0] != "carol@example.net" {
		t.Errorf("the internet received mail for %q", m.To())
	}
	// Refused: without TLS, without an account, with a wrong password.
	login := func(password string) string {
		return "C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00organization\x00"+password)) + "\n"
	}
	const mail = "C: MAIL FROM:<alice@example.com>\nS: 530 5.7.0\n"
	w.talk("127.0.0.1", w.organization, greeting+login("the organization's")+"S: 538 5.7.11\n"+mail+
		"C: STARTTLS\nS: 220\nTLS\nC: EHLO client.test\nS: 250\n"+mail+login("a guess")+"S: 535\n"+mail)
	w.p.Stop(t)
	w.keepSecrets("edge's password", "the organization's", "a guess")
}

// accounts writes a file with one account.
func (w *world) accounts(name, password string) (path string) {
	w.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.file("accounts", "# made by htpasswd -B\n"+name+":"+string(hash)+"\n")
}

// keepSecrets checks that no log contains the passwords, in clear or in the
// base64 form of AUTH.
func (w *world) keepSecrets(secrets ...string) {
	text := w.p.Log()
	err := filepath.WalkDir(filepath.Join(w.dir, "logs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		text += string(b)
		return err
	})
	if err != nil || !strings.Contains(text, "AUTH") {
		w.t.Fatalf("the logs: %v\n%s", err, text)
	}
	for _, s := range secrets {
		for _, user := range []string{"", "\x00edge\x00", "\x00organization\x00"} {
			if strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(user+s))) || strings.Contains(text, s) {
				w.t.Errorf("%q is in the logs", s)
			}
		}
	}
}
