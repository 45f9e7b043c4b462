package main

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The directory of both organizations. Alice's mailbox is on our system, Bob's on
// theirs, and Zoe's on one that does not exist.
const tree = `dn: dc=example,dc=com
objectClass: domain
dc: example

dn: uid=alice,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: extensibleObject
cn: Alice
sn: Liddell
mail: alice@example.com
proxyAddresses: smtp:alice@example.com
proxyAddresses: SMTP:Alice.Liddell@example.com
mailHost: exchange1.example.com
delivContLength: 1

dn: uid=bob,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: extensibleObject
cn: Bob
sn: Bob
mail: bob@example.com
mailHost: theirs

dn: uid=zoe,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: extensibleObject
cn: Zoe
sn: Zoe
mail: zoe@example.com
mailHost: elsewhere.example.net

dn: cn=partner,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: extensibleObject
sn: partner
mail: partner@example.com
targetAddress: SMTP:carol@example.net

dn: cn=all,dc=example,dc=com
objectClass: groupOfNames
objectClass: extensibleObject
mail: all@example.com
owner: uid=alice,dc=example,dc=com
member: uid=alice,dc=example,dc=com
member: uid=bob,dc=example,dc=com
member: cn=partner,dc=example,dc=com

dn: cn=hen,dc=example,dc=com
objectClass: groupOfNames
objectClass: extensibleObject
mail: hen@example.com
member: cn=egg,dc=example,dc=com

dn: cn=egg,dc=example,dc=com
objectClass: groupOfNames
objectClass: extensibleObject
mail: egg@example.com
member: cn=hen,dc=example,dc=com
`

const aliasFile = `info@example.com: alice@example.com
sales@example.com: bob@example.com, partner@example.com, dave@example.org
owner-sales@example.com: bob@example.com
a@example.com: b@example.com
b@example.com: a@example.com
`

// A small world has the servers of the two systems and of the internet in this process.
type small struct {
	t                      *testing.T
	ours, theirs, internet *smtptest.Server
	aliases                string
	stopLDAP               func()
	p                      *peers.Process
}

func newSmall(t *testing.T, more ...string) *small {
	w := &small{t: t, ours: smtptest.NewServer(t, nil), theirs: smtptest.NewServer(t, nil), internet: smtptest.NewServer(t, nil), aliases: peers.File(t, aliasFile)}
	dns := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	c := smtptest.Certificate(t, "dc1.example.com")
	url, stop := peers.Slapd(t, &c, tree)
	w.stopLDAP = stop
	_, port, _ := net.SplitHostPort(w.internet.Addr)
	w.p = peers.StartSelf(t, asMain, 1, append([]string{"-listen", "127.0.0.1:0", "-ours", "example.com", "-our-server", w.ours.Addr,
		"-theirs", "example.org", "-their-server", w.theirs.Addr, "-allow", serversAddr, "-aliases", w.aliases,
		"-ldap", url, "-ldap-base", peers.LDAPBase, "-ldap-bind-dn", peers.LDAPAdmin, "-ldap-password-file", peers.File(t, peers.LDAPPassword+"\n"),
		"-ldap-roots", peers.File(t, string(peers.PEM(t, &c))), "-ldap-route", "mailHost", "-ldap-ours", "exchange1.example.com",
		"-hostname", "gateway.example.com", "-spool", t.TempDir(), "-dns", dns.Addr, "-port", port}, more...)...)
	return w
}

// send sends a message from the internet.
func (w *small) send(to string) {
	w.t.Helper()
	if out, err := peers.Swaks(w.t, "--server", w.p.Addrs[0], "--from", "carol@example.net", "--to", to); err != nil {
		w.t.Fatalf("swaks: %v\n%s", err, out)
	}
}

// arrives checks the next message of a server, whose recipients may come in several
// messages.
func (w *small) arrives(at *smtptest.Server, from string, to ...string) {
	w.t.Helper()
	var got []string
	for len(got) < len(to) {
		m := at.Inbox.Next(w.t)
		if m.From != from {
			w.t.Errorf("mail from %q, want %q", m.From, from)
		}
		got = append(got, m.To()...)
	}
	if slices.Sort(got); !slices.Equal(got, to) {
		w.t.Errorf("mail for %v, want %v", got, to)
	}
}

// refused checks the reply to a message, which comes at RCPT or at the end of data.
func (w *small) refused(to, reply string) {
	w.t.Helper()
	rcpt, data := "S: "+reply, ""
	if strings.HasPrefix(reply, "DATA ") {
		rcpt, data = "S: 250", "C: DATA\nS: 354\nC: Subject: x\nC:\nC: .\nS: "+reply[5:]
	}
	smtptest.Talk(w.t, w.p.Addrs[0], "S: 220\nC: EHLO mx.example.net\nS: 250\nC: MAIL FROM:<carol@example.net>\nS: 250\nC: RCPT TO:<"+to+">\n"+rcpt+"\n"+data)
}

// Aliases, contacts and groups of the file and of the directory; an attribute of an
// entry names the system that has its mailbox.
func TestAliases(t *testing.T) {
	w := newSmall(t, "-ldap-owner", "owner", "-primary", "-ldap-limits")
	for to, at := range map[string]*smtptest.Server{"alice@example.com": w.ours, "bob@example.com": w.theirs, "dave@example.org": w.theirs} {
		w.send(to)
		w.arrives(at, "carol@example.net", to)
	}
	w.send("info@example.com")
	w.arrives(w.ours, "carol@example.net", "alice@example.com")
	w.send("partner@example.com")
	w.arrives(w.internet, "carol@example.net", "carol@example.net")

	// A list of the file, and a group of the directory. Each has an owner, who becomes
	// the reverse-path.
	w.send("sales@example.com")
	w.arrives(w.theirs, "owner-sales@example.com", "bob@example.com", "dave@example.org")
	w.arrives(w.internet, "owner-sales@example.com", "carol@example.net")
	w.send("all@example.com")
	w.arrives(w.ours, "alice@example.com", "alice@example.com")
	w.arrives(w.theirs, "alice@example.com", "bob@example.com")
	w.arrives(w.internet, "alice@example.com", "carol@example.net")

	// Loops and unknown recipients.
	w.refused("a@example.com", "DATA 550 5.4.6 The address leads back to itself")
	w.refused("hen@example.com", "DATA 550 5.4.6 The address leads back to itself")
	w.refused("mallory@example.com", "550 5.1.1")

	// Alice accepts 1 KiB.
	smtptest.Talk(t, w.p.Addrs[0], "S: 220\nC: EHLO mx.example.net\nS: 250\nC: MAIL FROM:<carol@example.net> SIZE=1025\nS: 250\n"+
		"C: RCPT TO:<alice@example.com>\nS: 552 5.2.3\nC: RCPT TO:<bob@example.com>\nS: 250\nC: QUIT\nS: 221")

	// A system that the settings do not name: the mail waits.
	w.send("zoe@example.com")
	peers.Await(t, "mail that waits", func() bool { return strings.Contains(w.p.Log(), "unknown system") })

	w.primary()
	w.changes()
	w.withoutLDAP()
	w.p.Stop(t)
}

// primary: mail of the systems has the primary addresses of its senders. Mail for a
// secondary address is delivered as it is.
func (w *small) primary() {
	w.t.Helper()
	body := peers.File(w.t, "From: Alice <alice@example.com>\nTo: carol@example.net\n\nhello\n")
	if out, err := peers.Swaks(w.t, "--server", w.p.Addrs[0], "--local-interface", serversAddr, "--from", "alice@example.com", "--to", "carol@example.net", "--data", "@"+body); err != nil {
		w.t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := w.internet.Inbox.Next(w.t); m.From != "Alice.Liddell@example.com" || !strings.Contains(m.Text, "From: Alice <Alice.Liddell@example.com>\r\n") {
		w.t.Errorf("mail from %s:\n%s", m.From, m.Text)
	}
	w.send("alice.liddell@example.com")
	w.arrives(w.ours, "carol@example.net", "alice.liddell@example.com")
}

// changes: a file with an error does not replace the aliases.
func (w *small) changes() {
	w.t.Helper()
	if err := os.WriteFile(w.aliases, []byte("info@example.com bob@example.com\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.p.Signal(w.t, syscall.SIGHUP)
	peers.Await(w.t, "the error of the reload", func() bool { return strings.Contains(w.p.Log(), "-aliases") })
	w.send("info@example.com")
	w.arrives(w.ours, "carol@example.net", "alice@example.com")
}

// withoutLDAP: mail is deferred, and never refused or sent with a wrong address.
func (w *small) withoutLDAP() {
	w.t.Helper()
	w.stopLDAP()
	w.refused("mallory2@example.com", "451 4.3.0")
	w.refused("all@example.com", "451 4.3.0")
	w.refused("bob@example.com", "451 4.3.0")                                                                                                                  // it exists, but on which system?
	smtptest.Talk(w.t, w.p.Addrs[0], "S: 220\nC: EHLO mx.example.net\nS: 250\nC: MAIL FROM:<dave@example.org>\nS: 250\nC: RCPT TO:<info@example.com>\nS: 250") // from the file
}

// TestSystemOf: the values that name a system.
func TestSystemOf(t *testing.T) {
	m := &merger{ours: "example.com", ourServer: "mail.example.com", theirs: "example.org", theirServer: "10.9.0.5:2525", ldap: ldapSettings{route: "mailHost", theirs: []string{"ex1.example.org"}}}
	for value, want := range map[string]string{
		"ours": "example.com", "OURS": "example.com", "Mail.Example.com.": "example.com", "example.com": "example.com",
		"theirs": "example.org", "ex1.example.org": "example.org", "10.9.0.5:2525": "example.org", "10.9.0.5": "10.9.0.5 via unknown system", "x": "x via unknown system",
	} {
		if got := m.systemOf(value).String(); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	m.ldap.route = ""
	if got := m.systemOf("theirs"); got.Destination != "" {
		t.Errorf("without -ldap-route: %v", got)
	}
}

// table is an AliasSource for tests; directory is one that is also a Directory.
type table map[string]*policy.Alias

func (t table) Alias(_ context.Context, address string) (*policy.Alias, error) {
	return t[address], nil
}

type directory struct{ table }

func (d directory) Exists(_ context.Context, address string) (bool, error) {
	return address == "crew@example.com", nil
}

// The file has priority over the directory, also for the members of a group of the
// directory.
func TestSources(t *testing.T) {
	a := &policy.Aliases{Source: sources{
		table{"erin@example.com": {Members: []string{"bob@example.com"}}, "frank@example.com": {Route: queue.NextHop{Destination: "example.org"}}},
		directory{table{"crew@example.com": {Mailboxes: []string{"alice@example.com", "erin@example.com", "frank@example.com"}}}},
	}}
	m := &queue.Message{From: "x@example.net", Recipients: queue.Rcpt("crew@example.com")}
	if err := a.Hook().Resolved(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range m.Recipients {
		if r.Status == queue.Waiting {
			got = append(got, strings.TrimSuffix(r.Addr+" over "+r.Route.String(), " over "))
		}
	}
	slices.Sort(got)
	if want := []string{"alice@example.com", "bob@example.com", "frank@example.com over example.org"}; !slices.Equal(got, want) {
		t.Errorf("mail for %q, want %q", got, want)
	}
	for address, want := range map[string]bool{"erin@example.com": true, "crew@example.com": true, "alice@example.com": false} {
		if got, err := a.Exists(t.Context(), address); got != want || err != nil {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
}
