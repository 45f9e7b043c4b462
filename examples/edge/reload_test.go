package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func hosts(addrs ...string) string {
	var list []string
	for _, a := range addrs {
		list = append(list, `{host: "`+a+`"}`)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// SIGHUP applies a new file to new sessions and to the queue. An existing session
// continues, and no mail is lost.
func TestReload(t *testing.T) {
	w := newWorld(t)
	organization := smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(peers.FreeAddr(t))) // no server listens there
	w.start()
	w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "alice@example.com", ""))
	w.await("queue: deferred", 1)

	// A session in the middle of a message.
	old := w.dial("127.0.0.1", w.internet)
	smtptest.TalkOn(t, old, greeting+"C: MAIL FROM:<dave@spam.test>\nS: 554 5.1.0\nC: MAIL FROM:<dave@example.net>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354\nC: From: <dave@example.net>\n")

	// An error changes nothing. The log has it with its line.
	w.write("DENY", "not a domain", "HOSTS", hosts(organization.Addr))
	w.signal(syscall.SIGHUP)
	w.await("not reloaded", 1)
	if !strings.Contains(w.p.Log(), "filters.sender.domains[0]") || !strings.Contains(w.p.Log(), "edge.yaml:22:") {
		t.Errorf("the error is not in the log")
	}
	w.write("DENY", "example.org", "DIR", w.dir+"/elsewhere")
	w.signal(syscall.SIGHUP)
	w.await("cannot change without a restart", 2) // spool and logs
	w.talk("127.0.0.1", w.internet, greeting+"C: MAIL FROM:<x@spam.test>\nS: 554 5.1.0")

	// Other smart hosts, another domain, another filter, a certificate.
	certificate, key := w.pemFiles("edge", smtptest.Certificate(t, "edge.example.com"))
	w.write("DIR", w.dir, "DENY", "example.org", "DOMAINS", "- name: example.info", "TLS", "cert: "+certificate+"\nkey: "+key)
	w.signal(syscall.SIGHUP)
	w.await("msg=reloaded", 1)
	if m := organization.Inbox.Next(t); m.To()[0] != "alice@example.com" { // it waited for the new smart host
		t.Errorf("mail for %q", m.To())
	}
	smtptest.TalkOn(t, old, "C:\nC: Hello\nC: .\nS: 250\nC: MAIL FROM:<dave@example.org>\nS: 250\nC: RCPT TO:<carol@example.info>\nS: 550 5.7.1\nC: QUIT\nS: 221\nEOF")
	if m := organization.Inbox.Next(t); m.To()[0] != "bob@example.com" {
		t.Errorf("mail for %q", m.To())
	}
	w.talk("127.0.0.1", w.internet, greeting+"C: STARTTLS\nS: 220\nTLS\nC: EHLO client.test\nS: 250\nC: MAIL FROM:<dave@example.org>\nS: 554 5.1.0\n"+message("carol@example.net", "erin@example.info", ""))
	if m := organization.Inbox.Next(t); m.To()[0] != "erin@example.info" {
		t.Errorf("mail for %q", m.To())
	}
	w.p.Stop(t)
}

// Mail that waits for a reason that the new file removes is sent at once: its
// smart host was busy and is replaced, or its domain was missing by mistake.
func TestReloadStartsTheMailThatWaitedForIt(t *testing.T) {
	w := newWorld(t)
	organization := smtptest.NewServer(t, nil)
	busy := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{Name: "busy",
		Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "the mailbox store is being repaired"}
		}}}})
	w.write("HOSTS", hosts(busy.Addr))
	w.start()
	w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "alice@example.com", ""))
	w.await("being repaired", 1)
	w.write("HOSTS", hosts(organization.Addr))
	w.signal(syscall.SIGHUP)
	if m := organization.Inbox.Next(t); m.To()[0] != "alice@example.com" {
		t.Errorf("mail for %q", m.To())
	}

	w.write("HOSTS", hosts(peers.FreeAddr(t)), "DOMAINS", "- name: example.info")
	w.signal(syscall.SIGHUP)
	w.await("msg=reloaded", 2)
	w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "erin@example.info", ""))
	w.await("connection refused", 1)
	w.write("DOMAINS", "")
	w.signal(syscall.SIGHUP)
	w.await("No connector for example.info", 1)
	w.write("HOSTS", hosts(organization.Addr), "DOMAINS", "- name: example.info")
	w.signal(syscall.SIGHUP)
	if m := organization.Inbox.Next(t); m.To()[0] != "erin@example.info" {
		t.Errorf("mail for %q", m.To())
	}
	w.p.Stop(t)
}

// A file that becomes invalid changes nothing. The log and the health name the setting.
// A file that has changed is read without SIGHUP.
func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recipients := w.file("recipients", "carol\n")
	certificate, key := w.pemFiles("edge", smtptest.Certificate(t, "edge.example.com"))
	w.write("DOMAINS", "- name: example.info\n    recipients-file: "+recipients, "HOSTS", hosts("192.0.2.1"), "SECURITY", "accounts: "+w.accounts("organization", "sesame"),
		"TLS", "cert: "+certificate+"\nkey: "+key)
	metrics := ownAddr(t)
	w.start("-metrics", metrics)
	w.await("msg=metrics", 1)
	rcpt := func(reply string) {
		w.talk("127.0.0.1", w.internet, greeting+"C: MAIL FROM:<x@example.net>\nS: 250\nC: RCPT TO:<carol@example.info>\nS: "+reply)
	}
	accounts := w.dir + "/accounts"
	good, err := os.ReadFile(accounts)
	if err != nil {
		t.Fatal(err)
	}
	invalid := func(setting, path string) {
		t.Helper()
		w.file(filepath.Base(path), "")
		w.signal(syscall.SIGHUP)
		peers.Await(t, "the setting in the health", func() bool { return strings.Contains(health(t, metrics), setting) })
		rcpt("250")
	}
	invalid("receive.organization.accounts", accounts)
	w.file("accounts", string(good))
	w.signal(syscall.SIGHUP)
	w.await("msg=reloaded", 1)
	invalid("domains[1].recipients-file", recipients)
	w.file("recipients", "carol\nalice\n")
	w.await("msg=reloaded", 2) // without SIGHUP
	if text := health(t, metrics); strings.Contains(text, "domains") {
		t.Errorf("the health after the reload: %s", text)
	}
	rcpt("250")
	w.file("recipients", "alice\n")
	w.signal(syscall.SIGHUP)
	w.await("msg=reloaded", 3)
	rcpt("550 5.1.1")
	w.p.Stop(t)
}

// health returns the text of /readyz.
func health(t *testing.T, metrics string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.Get("http://" + metrics + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// No client is refused while servers are replaced.
func TestReloadUnderLoad(t *testing.T) {
	const reloads, sessions = 10, 5
	w := newWorld(t)
	organization := smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(organization.Addr))
	w.start()
	for n := range reloads {
		w.signal(syscall.SIGHUP) // the reload happens during the sessions
		for range sessions {
			w.talk("127.0.0.1", w.internet, greeting+message("carol@example.net", "alice@example.com", ""))
		}
		w.await("msg=reloaded", n+1)
	}
	for range reloads * sessions {
		organization.Inbox.Next(t)
	}
	w.p.Stop(t)
}

// After SIGTERM a client can finish its message. Mail that cannot be delivered
// stays in the spool for the next start.
func TestTermination(t *testing.T) {
	w := newWorld(t)
	w.write("HOSTS", hosts(peers.FreeAddr(t)))
	w.start()
	sending, idle := w.dial("127.0.0.1", w.internet), w.dial(organizationAddr, w.organization)
	smtptest.TalkOn(t, idle, greeting)
	smtptest.TalkOn(t, sending, greeting+"C: MAIL FROM:<carol@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\nC: From: <carol@example.net>\n")
	stopped := make(chan struct{})
	go func() {
		w.p.Stop(t)
		close(stopped)
	}()
	w.await("msg=stopping", 1)
	smtptest.TalkOn(t, idle, "S: 421\nEOF")
	smtptest.TalkOn(t, sending, "C:\nC: Hello\nC: .\nS: 250\nS: 421\nEOF")
	<-stopped

	organization := smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(organization.Addr))
	w.start()
	if m := organization.Inbox.Next(t); m.To()[0] != "alice@example.com" || !strings.HasSuffix(m.Text, "\r\n\r\nHello\r\n") {
		t.Errorf("mail for %q:\n%s", m.To(), m.Text)
	}
	w.p.Stop(t)
}
