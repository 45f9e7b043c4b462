package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Mail programs log in on both ports, and their mail is delivered by MX: signed, with a
// Date and a Message-ID, and without the addresses of the clients.
func TestMailPrograms(t *testing.T) {
	t.Parallel()
	key, signer := dkimKey(t)
	w := start(t, "-hide-clients", "-dkim-key", key, "-dkim-selector", "s1", "-dkim-domains", "example.com")
	record, err := signer.Record()
	if err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func() (string, error){
		"swaks, 587, PLAIN": func() (string, error) { return w.swaks("alice", password, "--tls", "--auth", "PLAIN") },
		"swaks, 587, LOGIN": func() (string, error) { return w.swaks("Alice", password, "--tls", "--auth", "LOGIN") },
		"curl, 587":         func() (string, error) { return w.curl("smtp", w.starttls, "--ssl-reqd") },
		"curl, 465": func() (string, error) {
			return w.curl("smtps", w.tls)
		},
		"swaks, 465, on TLS": func() (string, error) { return w.swaks("alice", password, "--server", w.tls, "--tls-on-connect") },
	} {
		if out, err := send(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		text := w.arrives("Received: from unknown\r\n", "\r\n\tby mail.example.com with ESMTPSA id ", "\r\nDate: ", "DKIM-Signature: ")
		if strings.Count(strings.ToLower(text), "\nmessage-id: <") != 1 || strings.Count(text, "\nDate: ") != 1 {
			t.Errorf("%s: not one Date and Message-ID:\n%s", name, text)
		}
		if strings.Contains(text, "127.0.0.") || strings.Contains(text, "from laptop.example") {
			t.Errorf("%s: the message shows the client:\n%s", name, text)
		}
		got := peers.Python(t, "python3-dkim python3-nacl", "import sys, dkim\nprint(dkim.verify(open(sys.argv[1], 'rb').read(), dnsfunc=lambda name, timeout=5: sys.argv[2].encode()))", peers.File(t, text), record)
		if strings.TrimSpace(string(got)) != "True" {
			t.Errorf("%s: dkimpy: %s\n%s", name, got, text)
		}
	}
	w.p.Stop(t)
	logs, _ := filepath.Glob(filepath.Join(w.spool, "logs", "*.[Ll][Oo][Gg]")) // the pattern is valid
	all := []byte(w.p.Log())
	for _, name := range logs {
		one, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one...)
	}
	if len(logs) == 0 || bytes.Contains(all, []byte(password)) || bytes.Contains(all, []byte(plain("alice", password))) {
		t.Errorf("%d logs, or a log has the password", len(logs))
	}
}

// Before TLS there is no login, and before the login no mail. A wrong password and an
// unknown account get the same reply.
func TestNothingBeforeLogin(t *testing.T) {
	t.Parallel()
	w := start(t)
	smtptest.Talk(t, w.starttls, `
		S: 220
		C: EHLO laptop.example
		S: 250 STARTTLS
		C: AUTH PLAIN `+plain("alice", password)+`
		S: 530 5.7.0
		C: MAIL FROM:<alice@example.com>
		S: 530 5.7.0
		C: QUIT
		S: 221
	`)
	w.talk("", `
		C: MAIL FROM:<alice@example.com>
		S: 530 5.7.0 Authentication required
		C: AUTH PLAIN `+plain("alice", "sesame")+`
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN `+plain("mallory", password)+`
		S: 535 5.7.8 Authentication failed
		C: MAIL FROM:<alice@example.com>
		S: 530 5.7.0
	`)
	smtptest.TalkOn(t, w.dialTLS(), `
		S: 220
		C: EHLO laptop.example
		S: 250 AUTH PLAIN LOGIN
		C: MAIL FROM:<alice@example.com>
		S: 530 5.7.0
		C: QUIT
		S: 221
	`)
	w.p.Stop(t)
}

const usersFile = `# account  addresses                         limits
alice      sales@example.com,Alice.L@example.org
bob        -                                     max-size=1K max-recipients=1 hourly-messages=2
scanner    @example.com                          # a machine
`

// Each account has its own addresses, in the reverse-path and in the From field, and its
// own limits.
func TestAddressesAndLimits(t *testing.T) {
	t.Parallel()
	w := start(t, "-users", peers.File(t, usersFile), "-max-size", "2M", "-max-recipients", "3", "-hourly-messages", "50", "-hourly-recipients", "4")
	const reset = "\nC: RSET\nS: 250\n"
	w.talk("alice", `
		C: EHLO laptop.example
		S: 250 SIZE 2097152
		C: MAIL FROM:<alice@example.com>
		S: 250`+reset+`
		C: MAIL FROM:<SALES@example.com>
		S: 250`+reset+`
		C: MAIL FROM:<alice.l@EXAMPLE.org>
		S: 250`+reset+`
		C: MAIL FROM:<bob@example.com>
		S: 550 5.7.1
		C: MAIL FROM:<alice@example.org>
		S: 550 5.7.1
		C: MAIL FROM:<sales@example.com>
		S: 250
		C: RCPT TO:<carol@example.net>
		S: 250
		C: DATA
		S: 354
		C: From: The director <bob@example.com>
		C:
		C: pay
		C: .
		S: 550 5.7.1
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.net>
		S: 250
		C: RCPT TO:<c@example.net>
		S: 250
		C: RCPT TO:<d@example.net>
		S: 452 4.5.3`+reset+`
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<e@example.net>
		S: 450 4.7.1 Too many recipients`)
	// A name in another case has the same limits.
	w.talk("BOB", `
		C: EHLO laptop.example
		S: 250 SIZE 1024
		C: MAIL FROM:<bob@example.com> SIZE=1025
		S: 552 5.3.4
		C: MAIL FROM:<bob@example.com>
		S: 250
		C: RCPT TO:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.net>
		S: 452 4.5.3
	`)
	w.talk("bob", `
		C: MAIL FROM:<bob@example.com>
		S: 250`+reset+`
		C: MAIL FROM:<bob@example.com>
		S: 450 4.7.1 Too many messages
	`)
	w.p.Stop(t)
}

// Files are read again when they change. A file that becomes invalid changes nothing, and
// the counts of the limits continue.
func TestReload(t *testing.T) {
	t.Parallel()
	file := peers.File(t, usersFile)
	w := start(t, "-users", file)
	w.talk("bob", "C: MAIL FROM:<bob@example.com>\nS: 250\nC: RSET\nS: 250\nC: MAIL FROM:<bob@example.com>\nS: 250")
	write(t, w.accounts, hash(t, "bob", password)+hash(t, "dora", password))
	write(t, file, strings.Replace(usersFile, "bob        -", "bob        shop@example.com", 1))
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("msg=reloaded")
	w.talk("dora", "C: MAIL FROM:<dora@example.com>\nS: 250")
	w.talk("", "C: AUTH PLAIN "+plain("alice", password)+"\nS: 535")
	w.talk("bob", "C: MAIL FROM:<shop@example.com>\nS: 450 4.7.1 Too many messages")
	for path, text := range map[string]string{file: "bob shop\n", w.accounts: "bob:secret\n"} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n := strings.Count(w.p.Log(), "not reloaded")
		write(t, path, text)
		w.p.Signal(t, syscall.SIGHUP)
		peers.Await(t, "that the reload fails", func() bool { return strings.Count(w.p.Log(), "not reloaded") > n })
		if strings.Contains(w.p.Log(), "secret") {
			t.Error("the log has a line of the file of accounts")
		}
		w.talk("dora", "C: MAIL FROM:<dora@example.com>\nS: 250")
		write(t, path, string(before))
		w.p.Signal(t, syscall.SIGHUP)
	}
	w.p.Stop(t)
}

// With -upstream, all mail goes to the smart host, where the relay logs in.
func TestSmartHost(t *testing.T) {
	t.Parallel()
	c := smtptest.Certificate(t, "smtp.example.net")
	up := (&peers.Postfix{Domains: "example.net", Certificate: &c, Accounts: map[string]string{"relay": "ahoy-0815"}}).Start(t)
	w := start(t, "-upstream", up.Addr, "-upstream-user", "relay", "-upstream-password-file", peers.File(t, "ahoy-0815\n"), "-upstream-tls", "encrypt")
	if out, err := w.swaks("alice", password, "--tls", "--header", "Subject: by the smart host"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := up.Next(t); !strings.Contains(m, "Subject: by the smart host") || !strings.Contains(m, "(Authenticated sender: relay)") || !strings.Contains(m, "([127.0.0.1])") {
		t.Errorf("the smart host received\n%s", m)
	}
	w.p.Stop(t)
}
