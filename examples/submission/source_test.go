package main

import (
	"crypto/tls"
	"encoding/base64"
	"net/netip"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// scram sends a message on port 465 with SCRAM-SHA-256 only.
func (w *world) scram(name, password string) smtpclient.Result {
	w.t.Helper()
	tr := &smtpclient.Transport{ImplicitTLS: true, TLSConfig: &tls.Config{RootCAs: w.pool}, Hostname: "laptop.example",
		Auth: smtpclient.Mechanisms(smtpclient.PasswordAuth(name, password), "SCRAM-SHA-256")}
	defer tr.Close()
	dst := &smtpclient.Destination{Hosts: smtpclient.HostList(smtpclient.Host{Name: "mail.example.com", Addrs: []netip.AddrPort{netip.MustParseAddrPort(w.tls)}})}
	m := &smtpclient.Message{From: "alice@example.com", Recipients: []smtpclient.Recipient{{Addr: "carol@example.net"}},
		Content: smtpclient.String("From: alice@example.com\r\nSubject: by SCRAM\r\n\r\nhello\r\n")}
	return tr.Send(w.t.Context(), dst, m)[0]
}

// salt returns the salt and the iterations of an account in the challenge of SCRAM-SHA-256.
func (w *world) salt(name string) string {
	w.t.Helper()
	c := textproto.NewConn(w.dialTLS())
	defer c.Close()
	c.PrintfLine("EHLO laptop.example")
	c.PrintfLine("AUTH SCRAM-SHA-256 %s", base64.StdEncoding.EncodeToString([]byte("n,,n="+name+",r=fyko+d2lbbFgONRv9qkxdawL")))
	for {
		line, err := c.ReadLine()
		if err != nil {
			w.t.Fatal(err)
		}
		if text, is := strings.CutPrefix(line, "334 "); is {
			challenge, _ := base64.StdEncoding.DecodeString(text)
			_, salt, _ := strings.Cut(string(challenge), ",")
			return salt
		}
	}
}

// If all accounts have verifiers of SCRAM-SHA-256, here those of doveadm, the gateway
// offers SCRAM-SHA-256, and the same accounts can use PLAIN.
func TestScramAccounts(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(peers.Need(t, "doveadm"), "pw", "-s", "SCRAM-SHA-256", "-p", password).Output()
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, "-accounts", peers.File(t, "Alice:"+string(out)))
	// What a stranger can request does not show which names exist.
	for _, name := range []string{"alice", "mallory"} {
		if lower, upper := w.salt(name), w.salt(strings.ToUpper(name)); lower != upper || !strings.HasSuffix(lower, ",i=4096") {
			t.Errorf("%s: %s and %s", name, lower, upper)
		}
	}
	for pass, want := range map[string]smtpclient.Outcome{password: smtpclient.Success, "sesame": smtpclient.Unreachable} {
		if r := w.scram("alice", pass); r.Outcome != want {
			t.Errorf("%s: %+v", pass, r)
		}
	}
	w.arrives("Subject: by SCRAM")
	w.talk("alice", "C: MAIL FROM:<alice@example.com>\nS: 250")
	w.talk("", "C: AUTH PLAIN "+plain("alice", "sesame")+"\nS: 535")
	w.p.Stop(t)
}

// Dovecot checks the logins of each mechanism that it offers, except ANONYMOUS. While it
// does not run, a login gets a temporary error.
func TestDovecot(t *testing.T) {
	t.Parallel()
	socket, stop := peers.DovecotAuth(t, map[string]string{"alice": password, "bob": password})
	w := start(t, "-dovecot", socket, "-users", peers.File(t, usersFile))
	w.talk("alice", "C: MAIL FROM:<sales@example.com>\nS: 250\nC: RSET\nS: 250\nC: MAIL FROM:<bob@example.com>\nS: 550 5.7.1")
	w.talk("", `
		C: EHLO laptop.example
		S: 250 AUTH PLAIN LOGIN SCRAM-SHA-256
		C: AUTH ANONYMOUS bWFsbG9yeQ==
		S: 504
		C: AUTH PLAIN
		S: 334
		C: *
		S: 501
		C: AUTH PLAIN `+plain("alice", "sesame")+`
		S: 535 5.7.8
		C: AUTH PLAIN `+plain("mallory", password)+`
		S: 535 5.7.8
		C: AUTH PLAIN
		S: 334
		C: `+plain("BOB", password)+`
		S: 235
		C: MAIL FROM:<bob@example.com>
		S: 250
	`)
	if out, err := w.swaks("alice", password, "--tls", "--auth", "LOGIN"); err != nil {
		t.Errorf("swaks: %v\n%s", err, out)
	}
	w.arrives("with ESMTPSA")
	for pass, want := range map[string]smtpclient.Outcome{password: smtpclient.Success, "sesame": smtpclient.Unreachable} {
		if r := w.scram("alice", pass); r.Outcome != want {
			t.Errorf("%s: %+v", pass, r)
		}
	}
	w.arrives("Subject: by SCRAM")
	stop()
	w.talk("", "C: AUTH PLAIN "+plain("alice", password)+"\nS: 454 4.7.0")
	w.p.Stop(t)
}

const tree = `dn: dc=example,dc=com
objectClass: domain
dc: example

dn: uid=alice,dc=example,dc=com
objectClass: inetOrgPerson
cn: Alice
sn: Liddell
mail: alice@example.com
mail: a.liddell@example.org
objectClass: extensibleObject
proxyAddresses: SMTP:alice@example.com
userPassword: sesame-4711

dn: uid=bob,dc=example,dc=com
objectClass: inetOrgPerson
cn: Bob
sn: Bob
mail: bob@example.com
mail: robert@example.com
userPassword: sesame-4711
`

// A user of the directory logs in with its name or an address, and has the addresses
// that the directory and the file of -users give it. All names have one count.
func TestLDAP(t *testing.T) {
	t.Parallel()
	c := smtptest.Certificate(t, "mail.example.com")
	url, stop := peers.Slapd(t, &c, tree)
	roots := peers.File(t, string(peers.PEM(t, &c)))
	w := start(t, "-ldap", url, "-ldap-base", peers.LDAPBase, "-ldap-bind-dn", peers.LDAPAdmin, "-ldap-password-file", peers.File(t, peers.LDAPPassword+"\n"),
		"-ldap-roots", roots, "-users", peers.File(t, usersFile), "-hourly-recipients", "0", "-hourly-messages", "4",
		"-primary-domains", "example.com")
	for _, name := range []string{"alice", "a.liddell@example.org"} {
		w.talk(name, `
			C: MAIL FROM:<a.liddell@example.org>
			S: 250
			C: RSET
			S: 250
			C: MAIL FROM:<sales@example.com>
			S: 250
			C: RSET
			S: 250
			C: MAIL FROM:<bob@example.com>
			S: 550 5.7.1
		`)
	}
	w.talk("alice@example.com", "C: MAIL FROM:<alice@example.com>\nS: 450 4.7.1 Too many messages")
	w.talk("bob", "C: MAIL FROM:<robert@example.com>\nS: 250\nC: RCPT TO:<carol@example.net>\nS: 250\nC: DATA\nS: 354\nC: From: Bob <robert@example.com>\nC:\nC: hello\nC: .\nS: 250")
	w.arrives("From: Bob <bob@example.com>")
	w.talk("", "C: AUTH PLAIN "+plain("alice", "sesame")+"\nS: 535 5.7.8\nC: AUTH PLAIN "+plain("*", password)+"\nS: 535 5.7.8")
	stop()
	w.talk("", "C: AUTH PLAIN "+plain("alice", password)+"\nS: 454 4.7.0")
	w.p.Stop(t)
}
