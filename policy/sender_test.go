package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// mailFrom returns a session up to the reply to MAIL.
func mailFrom(address, reply string) string {
	return "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<" + address + ">\nS: " + reply
}

// mailHeader returns a session with a message that has the header.
func mailHeader(from, header, reply string) string {
	return mailFrom(from, "250") + "\nC: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\nC: " +
		strings.ReplaceAll(header, "\n", "\nC: ") + "\nC:\nC: body\nC: .\nS: " + reply
}

func TestSenderFilter(t *testing.T) {
	f := &SenderFilter{
		Addresses: []string{"Spammer@example.net", "mailer-daemon"},
		Domains:   []string{"bad.example", "*.worse.example", "bücher.example"},
		Blank:     true,
	}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	srv := serveAgents(t, f.Agent())
	for from, refused := range map[string]bool{
		"":                             true,
		"spammer@EXAMPLE.net":          true,
		"someone@example.net":          false,
		"MAILER-DAEMON@any.example":    true,
		"x@bad.example":                true,
		"x@sub.bad.example":            false,
		"x@worse.example":              false,
		"x@a.b.worse.example":          true,
		"x@notworse.example":           false,
		"x@xn--bcher-kva.example":      true,
		`"spammer"@example.net`:        true,
		`"mailer\-daemon"@any.example`: true,
		`"x y"@example.net`:            false,
	} {
		want := "250"
		if refused {
			want = "554 5.1.0 Sender denied"
		}
		srv.Talk(t, stranger, mailFrom(from, want))
		if from == "" {
			continue
		}
		srv.Talk(t, stranger, mailHeader("x@example.org", "Subject: x\nFrom: Somebody <"+from+">", want))
	}
	(&SenderFilter{}).Validate()
	if err := (&SenderFilter{Domains: []string{"a b"}}).Validate(); err == nil || !strings.Contains(err.Error(), `SenderFilter.Domains: "a b"`) {
		t.Errorf("error %v", err)
	}
	zero := serveAgents(t, (&SenderFilter{}).Agent())
	zero.Talk(t, stranger, mailFrom("", "250"))
}

// A client from outside cannot use a sender of the organization, neither in the
// envelope nor in the From field.
func TestSpoofing(t *testing.T) {
	g := organization()
	ds := mustDomains(t, g.Domains...)
	relay := &Relay{Domains: ds, Networks: g.Networks, Authenticated: true}
	spoof := &Spoofing{Domains: ds, Senders: []string{"newsletter@example.com"}}
	srv := servePasswords(t, relay.Agent(), spoof.Agent())
	const refused = "550 5.7.1 You may not send as a sender of this organization"
	for _, from := range []string{"alice@example.com", "nobody@EXAMPLE.com", "x@Example.COM", "newsletter@sub@example.com"} {
		if strings.Count(from, "@") == 1 {
			srv.Talk(t, stranger, mailFrom(from, refused))
		}
	}
	for _, from := range []string{"", "x@example.net", "newsletter@Example.com", "carol@subsidiary.example", "x@sub.example.com"} {
		srv.Talk(t, stranger, mailFrom(from, "250"))
	}
	for header, want := range map[string]string{
		"From: Alice <alice@example.com>":                       refused,
		"FROM : alice@EXAMPLE.com":                              refused,
		"From: x@example.net\nFrom: alice@example.com":          refused,
		"From: x@example.net, alice@example.com":                refused,
		"From: =?utf-8?q?Alice?=\n <alice@example.com>":         refused,
		"From: \"Alice\" (boss) <alice\n @example.com>":         refused,
		"From: alice@example.com <x@example.net>":               refused, // not a list of addresses
		"From: <alice@example.com> <x@example.net>":             refused,
		"From: x@example.net <alice@example.com":                refused,
		"From: alice@example.com.":                              refused,
		"From: alice@example.com。":                              refused, // full stops of other scripts count as dots
		"From: alice@example。com":                               refused,
		"From: alice@ｅｘample.com":                               refused,
		"From: <@x.example:alice@example.com>":                  refused, // a source route
		"From: \"alice\"@example.com":                           refused,
		"From: friends: alice@example.com;":                     refused,
		"From: \"alice@example.com\" <x@example.net>":           "250", // a display name; it is not checked
		"From: newsletter@example.com":                          "250",
		"From: x@example.net\nSender: alice@example.com":        "250",
		"Subject: alice@example.com":                            "250",
		"From: alice@example.com.evil.example":                  "250",
		"X-A: b\nno field at all\nFrom: alice@example.com":      "250", // text of the body: see smtpserver.Message.Content
		"From\n : alice@example.com":                            "250", // likewise
		"From alice Sat Nov 28\nFrom: alice@example.com":        refused,
		"From: x@example.net":                                   "250",
		"From: x@example.net (A \\) b (c) <alice@example.com>)": "250", // a comment
	} {
		srv.Talk(t, stranger, mailHeader("x@example.net", header, want))
	}
	// Clients in the organization's networks and its users may use these
	// senders.
	srv.Talk(t, neighbour, mailHeader("alice@example.com", "From: alice@example.com", "250"))
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: MAIL FROM:<alice@example.com>
		S: 250
	`)
}

// An author is found even if many other authors precede it.
func TestManyAuthors(t *testing.T) {
	crowd := "From: x0@example.net"
	for i := 1; i < 150; i++ {
		crowd += fmt.Sprintf(",\n x%d@example.net", i)
	}
	ds := mustDomains(t, Domain{Name: "example.com"})
	spoof := serveAgents(t, (&Spoofing{Domains: ds}).Agent())
	filter := serveAgents(t, (&SenderFilter{Addresses: []string{"alice@example.com"}}).Agent())
	asked := 0
	users := servePasswords(t, (&SendAs{Owns: func(_ context.Context, _, sender string) (bool, error) {
		asked++
		return sender != "alice@example.com", nil
	}}).Agent())
	const login = "C: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\nC: MAIL"
	for _, last := range []string{",\n alice@example.com", "\nFrom: alice@example.com", ",\n y@ <alice@example.com"} {
		spoof.Talk(t, stranger, mailHeader("x@example.net", crowd+last, "550 5.7.1"))
		filter.Talk(t, stranger, mailHeader("x@example.net", crowd+last, "554 5.1.0"))
		users.Talk(t, stranger, strings.Replace(mailHeader("x@example.net", crowd+last, "550 5.7.1"), "C: MAIL", login, 1))
	}
	spoof.Talk(t, stranger, mailHeader("x@example.net", crowd, "250"))
	if most := 3 * (maxSendAs + 1); asked > most {
		t.Errorf("the directory was asked %d times about three messages, want at most %d", asked, most)
	}
}

// An outside service may use certain senders, and a verified message keeps its
// From field.
func TestSpoofingExceptions(t *testing.T) {
	ds := mustDomains(t, Domain{Name: "example.com"})
	relay := &Relay{Domains: ds, Grants: []Grant{
		{To: Clients{Everyone: true}, Rights: Submit},
		{To: Clients{Hosts: []string{"*.service.example"}}, Rights: AcceptAuthoritativeDomainSender},
	}, Resolver: fakeDNS{"PTR 192.0.2.1": "a.service.example.", "A a.service.example": "192.0.2.1"}}
	spoof := &Spoofing{Domains: ds, Trusted: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) bool {
		return m.Header.Get("X-Verified") == "yes"
	}}
	srv := serveAgents(t, relay.Agent(), spoof.Agent())
	srv.Talk(t, "192.0.2.1", mailHeader("alice@example.com", "From: alice@example.com", "250"))
	srv.Talk(t, "192.0.2.2", mailFrom("alice@example.com", "550 5.7.1"))
	srv.Talk(t, "192.0.2.2", mailHeader("list@example.net", "From: alice@example.com", "550 5.7.1"))
	srv.Talk(t, "192.0.2.2", mailHeader("list@example.net", "From: alice@example.com\nX-Verified: yes", "250"))
}

func TestSendAs(t *testing.T) {
	down := errors.New("down")
	owns := SendersOf(map[string][]string{"alice": {"alice@example.com", "sales@Example.com", "@alice.example"}})
	relay := &Relay{Authenticated: true}
	sendAs := &SendAs{Owns: func(ctx context.Context, identity, sender string) (bool, error) {
		if strings.HasPrefix(sender, "down@") {
			return false, down
		}
		return owns(ctx, identity, sender)
	}}
	srv := servePasswords(t, relay.Agent(), sendAs.Agent())
	asAlice := func(rest string) string {
		return "S: 220\nC: EHLO client.example\nS: 250\nC: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\n" + rest
	}
	for from, want := range map[string]string{
		"":                        "250",
		"Alice@EXAMPLE.com":       "250",
		"sales@example.com":       "250",
		"any@alice.example":       "250",
		"bob@example.com":         "550 5.7.1 You may not send as this sender",
		"alice@sub.alice.example": "550 5.7.1",
		"down@example.com":        "451 4.3.0",
	} {
		srv.Talk(t, stranger, asAlice("C: MAIL FROM:<"+from+">\nS: "+want))
	}
	for header, want := range map[string]string{
		"From: alice@example.com":                   "250",
		"From: alice@example.com, bob@example.com":  "550 5.7.1",
		"Subject: no From at all":                   "250",
		"Sender: alice@example.com":                 "250",
		"Sender: Boss <bob@example.com>":            "550 5.7.1", // programs show it if there is no From
		"Sender: bob@":                              "550 5.6.0",
		"From: alice@example.com\nSender: x@laptop": "250",
	} {
		_, rest, _ := strings.Cut(mailHeader("alice@example.com", header, want), "S: 250\n")
		srv.Talk(t, stranger, asAlice(rest))
	}
	// Unauthenticated clients are not restricted; see Spoofing.
	srv.Talk(t, stranger, mailFrom("bob@example.com", "250"))
	if ok, _ := owns(t.Context(), "bob@example.com", "Bob@example.com"); !ok {
		t.Error("an identity that is an address does not own it")
	}
}

// The case of an identity does not matter. If two identities differ only in case, it is not
// clear whose the senders are.
func TestCaseOfSendersOf(t *testing.T) {
	owns := SendersOf(map[string][]string{"Alice": {"sales@example.com"}, "bob": {"bob@example.com"}, "BOB": {"boss@example.com"}})
	for _, c := range []struct {
		identity, sender string
		want             bool
	}{
		{"Alice", "sales@example.com", true}, {"ALICE", "sales@example.com", true},
		{"bob", "bob@example.com", false}, {"BOB", "boss@example.com", false}, {"bob", "boss@example.com", false},
	} {
		if got, err := owns(t.Context(), c.identity, c.sender); got != c.want || err != nil {
			t.Errorf("%s as %s: %v, %v", c.identity, c.sender, got, err)
		}
	}
}

func TestSenderDomain(t *testing.T) {
	d := &SenderDomain{Resolver: fakeDNS{
		"MX mx.example":            "mail.example.",
		"MX null.example":          ".",
		"A host.example":           "192.0.2.1",
		"MX fail.example":          "FAIL",
		"A half.example":           "FAIL",
		"MX xn--bcher-kva.example": "mail.example.",
	}}
	srv := serveAgents(t, d.Agent())
	for from, want := range map[string]string{
		"":                        "250",
		"x@[192.0.2.1]":           "250",
		"x@mx.example":            "250",
		"x@MX.Example":            "250",
		"x@host.example":          "250",
		"x@null.example":          "550 5.7.27",
		"x@none.example":          "550 5.1.8",
		"x@localhost":             "550 5.1.8",
		"x@fail.example":          "451 4.4.3",
		"x@half.example":          "451 4.4.3",
		"x@xn--bcher-kva.example": "250",
	} {
		srv.Talk(t, stranger, mailFrom(from, want))
	}
}

// An invalid record does not make the other records invalid: net.Resolver
// returns the valid ones together with an error.
func TestPartOfAnAnswer(t *testing.T) {
	r := resolverOf(dnstest.New(t, `
		1.2.0.192.in-addr.arpa. PTR mx.partner.example.
		1.2.0.192.in-addr.arpa. PTR not\ a\ host.
		mx.partner.example.     A   192.0.2.1
		example.net.            MX  10 mx.example.net.
		example.net.            MX  20 not\ a\ host.`))
	_, err := r.(*NetResolver).Resolver.LookupMX(t.Context(), "example.net.")
	if err == nil {
		t.Fatal("net.Resolver reads all records")
	}
	relay := &Relay{Resolver: r, Grants: []Grant{
		{To: Clients{Everyone: true}, Rights: Submit},
		{To: Clients{Hosts: []string{"*.partner.example"}}, Rights: AcceptAnyRecipient},
	}}
	srv := serveAgents(t, relay.Agent(), (&SenderDomain{Resolver: r}).Agent())
	srv.Talk(t, stranger, rcptTo("x@example.net", "frank@example.org", "250"))
	filter := &ConnectionFilter{Resolver: r, BlockHosts: []string{"*.bad.example"}}
	serveAgents(t, filter.Agent()).Talk(t, stranger, rcptTo("x@example.net", "alice@example.com", "250"))
	filter.BlockHosts = []string{"*.partner.example"}
	serveAgents(t, filter.Agent()).Talk(t, stranger, rcptTo("x@example.net", "alice@example.com", "550"))
}

func TestRecipientFilter(t *testing.T) {
	g := organization()
	relay := &Relay{Domains: mustDomains(t, g.Domains...), Networks: g.Networks}
	f := &RecipientFilter{Addresses: []string{"bob@example.com"}, Domains: []string{"customer.example"}, Internal: []string{"alice@example.com"}}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	srv := serveAgents(t, relay.Agent(), f.Agent())
	for to, want := range map[string]string{
		"Bob@example.com":          "550 5.1.1 User unknown",
		"x@customer.example":       "550 5.1.1",
		"alice@example.com":        "550 5.7.1 Only members",
		"carol@subsidiary.example": "250",
	} {
		srv.Talk(t, stranger, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<"+to+">\nS: "+want)
		srv.Talk(t, neighbour, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<"+to+">\nS: 250")
	}
}

// A subaddress of a refused recipient is refused, too.
func TestRecipientFilterOfSubaddresses(t *testing.T) {
	domains := mustDomains(t, Domain{Name: "example.com", Directory: Subaddresses(Recipients("all", "bob", "carol"), "+-")})
	f := &RecipientFilter{Addresses: []string{"bob"}, Internal: []string{"all@example.com"}, Separators: "+-"}
	srv := serveAgents(t, (&Relay{Domains: domains}).Agent(), f.Agent())
	for to, want := range map[string]string{
		"all@example.com": "550 5.7.1", "ALL+x@example.com": "550 5.7.1", "all-x+y@example.com": "550 5.7.1",
		"bob+x@example.com": "550 5.1.1", "carol+bob@example.com": "250", "carol@example.com": "250",
		`"all+x"@example.com`: "550 5.7.1", `"al\l+x"@example.com`: "550 5.7.1",
	} {
		srv.Talk(t, stranger, rcptTo("x@example.net", to, want))
	}
	plain := serveAgents(t, (&Relay{Domains: mustDomains(t, Domain{Name: "example.com"})}).Agent(), (&RecipientFilter{Internal: []string{"all"}}).Agent())
	plain.Talk(t, stranger, rcptTo("x@example.net", "all+x@example.com", "250")) // another recipient
}

func TestTarpit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := organization()
		relay := &Relay{Domains: mustDomains(t, g.Domains...), Networks: g.Networks}
		srv := serveAgents(t, relay.Agent(), (&Tarpit{Undelayed: 1, Delay: 4 * time.Second, Max: 10 * time.Second}).Agent())
		const refused = "\nC: RCPT TO:<nobody@example.com>\nS: 550"
		for _, tt := range []struct {
			from     string
			refusals int
			want     time.Duration
		}{
			{stranger, 1, 0},
			{stranger, 2, 4 * time.Second},
			{stranger, 4, (4 + 8 + 10) * time.Second},
			{neighbour, 5, 0},
		} {
			began := time.Now()
			srv.Talk(t, tt.from, mailFrom("x@example.net", "250")+strings.Repeat(refused, tt.refusals))
			if d := time.Since(began); d != tt.want {
				t.Errorf("%d refusals of %s took %v, want %v", tt.refusals, tt.from, d, tt.want)
			}
		}
	})
}

// While the server is overloaded, a delayed reply would take a place from
// another client.
func TestTarpitUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := organization()
		relay := &Relay{Domains: mustDomains(t, g.Domains...), Networks: g.Networks}
		srv := policytest.New(t, &smtpserver.Server{
			Limits: smtpserver.Limits{Connections: 1},
			Agents: []smtpserver.Agent{relay.Agent(), (&Tarpit{Delay: 4 * time.Second}).Agent()},
		})
		began := time.Now()
		srv.Talk(t, stranger, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<nobody@example.com>\nS: 550")
		if d := time.Since(began); d != time.Second {
			t.Errorf("a refusal took %v, want 1 s", d)
		}
	})
}
