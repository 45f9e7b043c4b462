package policy

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// everything is a Gate with all policies.
func everything(t testing.TB) *Gate {
	return &Gate{
		Domains:       organization().Domains,
		Networks:      organization().Networks,
		Authenticated: true,
		Resolver:      fakeDNS{"MX example.net": "mx.example.net.", "A 2.2.0.192.list.example": "127.0.0.2"},
		Pressure:      &Pressure{Resources: []Resource{QueueLength(new(memory.Store))}},
		Connection:    &ConnectionFilter{Block: networks(t, "198.51.100.0/24"), BlockLists: []DNSList{{Zone: "list.example"}}},
		Reputation:    new(Reputation),
		Rates:         &Rates{Rates: []Rate{{By: ByIdentity, Messages: 1000}, {By: ByNetwork, Messages: 1 << 30}}},
		Senders:       &SenderFilter{Domains: []string{"*.bad.example"}},
		Spoofing:      new(Spoofing),
		SendAs:        &SendAs{Owns: SendersOf(map[string][]string{"alice": {"alice@example.com"}})},
		SenderDomain:  new(SenderDomain),
		Recipients:    &RecipientFilter{Internal: []string{"bob@example.com"}},
		Greylist:      &Greylist{Delay: time.Millisecond},
		Tarpit:        &Tarpit{Undelayed: 1000},
	}
}

func TestGateWithEverything(t *testing.T) {
	g := everything(t)
	var asked []string
	note := func(slot string) []smtpserver.Agent {
		return []smtpserver.Agent{{Name: slot, EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
			asked = append(asked, slot)
			return nil
		}}}
	}
	g.MailAuth, g.Inbound, g.Rules, g.AntiSpam, g.Content, g.Outbound =
		note("proof"), note("inbound"), note("rules"), note("antispam"), note("content"), note("outbound")
	srv, out := install(t, g, &smtpserver.Server{Agents: note("own"), Auth: passwords(), AllowInsecureAuth: true})
	var names []string
	for _, a := range srv.Agents {
		names = append(names, a.Name)
	}
	want := "rights, back pressure, connection filter, reputation, rates, sender filter, spoofing, send as, sender domain, " +
		"relay, recipient filter, greylist, loop, proof, inbound, rules, antispam, content, own, outbound, reputation, trace, tarpit"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("order\n%s, want\n%s", got, want)
	}

	srv.Talk(t, stranger, envelope+body+"S: 250")
	if want := []string{"proof", "inbound", "rules", "antispam", "content", "own", "outbound"}; !slices.Equal(asked, want) {
		t.Errorf("message of an unknown client: agents %v, want %v", asked, want)
	}
	if s := text(t, out.only(t)); strings.Count(s, "Received:") != 1 {
		t.Errorf("content %q", s)
	}
	asked = nil
	srv.Talk(t, neighbour, `
		S: 220
		C: EHLO printer.example.com
		S: 250
		C: MAIL FROM:<printer@example.com>
		S: 250
		C: RCPT TO:<frank@example.org>
		S: 250
	`+body+"S: 250")
	if want := []string{"inbound", "rules", "content", "own", "outbound"}; !slices.Equal(asked, want) {
		t.Errorf("message from Networks: agents %v, want %v", asked, want)
	}

	for _, tt := range []struct{ name, client, from, to, want string }{
		{"connection", "198.51.100.1", "x@example.net", "alice@example.com", "550 5.7.1 Mail from your address"},
		{"DNS list", "192.0.2.2", "x@example.net", "alice@example.com", "550 5.7.1 192.0.2.2 is listed"},
		{"sender", stranger, "x@very.bad.example", "", "554 5.1.0"},
		{"spoofing", stranger, "bob@example.com", "", "550 5.7.1 You may not send as a sender of this"},
		{"sender domain", stranger, "x@nowhere.example", "", "550 5.1.8"},
		{"recipient", stranger, "x@example.net", "bob@example.com", "550 5.7.1 Only members"},
		{"relay", stranger, "x@example.net", "frank@example.org", "550 5.7.1 Unable to relay"},
		{"directory", stranger, "x@example.net", "mallory@example.com", "550 5.1.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.to == "" {
				srv.Talk(t, tt.client, mailFrom(tt.from, tt.want))
				return
			}
			srv.Talk(t, tt.client, mailFrom(tt.from, "250")+"\nC: RCPT TO:<"+tt.to+">\nS: "+tt.want)
		})
	}
}

// The error names all wrong settings.
func TestGateSettings(t *testing.T) {
	if err := new(Gate).Install(new(smtpserver.Server)); err == nil || !strings.Contains(err.Error(), "Queue") {
		t.Errorf("without a queue: %v", err)
	}
	if err := (&Gate{Queue: new(outbox)}).Install(&smtpserver.Server{Handler: new(Enqueuer)}); err == nil {
		t.Error("a server's own Handler is replaced")
	}
	if err := (&Gate{Queue: new(outbox), Domains: []Domain{{Name: "*"}}}).Install(new(smtpserver.Server)); err == nil {
		t.Error("a bad domain is accepted")
	}
	g := &Gate{
		Queue:      new(outbox),
		Networks:   []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		Pressure:   &Pressure{Resources: []Resource{{Name: "nothing"}}},
		Connection: &ConnectionFilter{BlockHosts: []string{"*"}, ExceptRecipients: []string{"abuse", "@except.example"}},
		Senders:    &SenderFilter{Domains: []string{"a b"}, Addresses: []string{"spam@", "fine"}},
		Recipients: &RecipientFilter{Domains: []string{"c d"}, Addresses: []string{"e f"}, Internal: []string{"all@example.com", "all staff@example.com"}},
		Spoofing:   &Spoofing{Senders: []string{"news letter"}},
		Rates:      &Rates{Rates: []Rate{{By: ByAddress, Messages: 1}, {By: ByAddress}, {By: 17, Messages: 1}, {Messages: -1}}},
	}
	srv := new(smtpserver.Server)
	err := g.Install(srv)
	for _, want := range []string{"0.0.0.0/0", "nothing", "BlockHosts", "a b", "c d",
		`ConnectionFilter.ExceptRecipients: "@except.example"`, `SenderFilter.Addresses: "spam@"`, `RecipientFilter.Addresses: "e f"`,
		`RecipientFilter.Internal: "all staff@example.com"`, `Spoofing.Senders: "news letter"`,
		"Rates[1]: Messages or Recipients must be set", "Rates[2]: no such RateKey: 17", "Rates[3]: Messages, Recipients and Per must not be negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	if srv.Handler != nil || srv.Agents != nil {
		t.Error("a Gate with an error changes the server")
	}
}

// Rights for users are an error on a server where no client can log in: the
// administrator expects that users can send.
func TestGrantsForUsersWithoutAuth(t *testing.T) {
	users := Gate{Queue: new(outbox), Authenticated: true}
	alice := Gate{Queue: new(outbox), Grants: []Grant{{To: Clients{Identities: []string{"alice"}}, Rights: Submit}}}
	known := smtpserver.Agent{Name: "by certificate", Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
		s.SetIdentity("alice")
		return nil
	}}
	asks := func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return nil }
	for _, tt := range []struct {
		name string
		gate Gate
		srv  *smtpserver.Server
		want string
	}{
		{"no Auth", users, new(smtpserver.Server), "policy: Authenticated: no client can log in to this server: its Auth is not set"},
		{"no Auth, by name", alice, new(smtpserver.Server), "policy: Grants[0]: no client can log in"},
		{"Auth", users, &smtpserver.Server{Auth: passwords(), TLSConfig: selfSigned(t)}, ""},
		{"Auth in the clear", users, &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true}, ""},
		{"Auth, no TLS", users, &smtpserver.Server{Auth: passwords()}, "no client can log in to this server: its Auth requires TLS"},
		{"Auth, TLS off", users, &smtpserver.Server{Auth: passwords(), TLSConfig: selfSigned(t), TLSMode: smtpserver.TLSOff}, "no client can log in"},
		{"identity from a front end", users, &smtpserver.Server{XClientFrom: []netip.Prefix{netip.MustParsePrefix("10.1.9.9/32")}}, ""},
		{"identity from an agent", users, &smtpserver.Server{Agents: []smtpserver.Agent{known}}, ""},
		{"agent without an event before RCPT", users, &smtpserver.Server{Agents: []smtpserver.Agent{{EndOfData: asks}}}, "no client can log in"},
		{"also other clients", Gate{Queue: new(outbox), Grants: []Grant{{To: Clients{Identities: []string{"alice"}, Hosts: []string{"mx.partner.example"}}, Rights: Submit}}}, new(smtpserver.Server), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.gate.Install(tt.srv)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// An agent that returns ErrAccept does not open the relay, and the Received
// field is still added.
func TestErrAcceptKeepsTheTrace(t *testing.T) {
	accept := smtpserver.Agent{EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
		return smtpserver.ErrAccept
	}}
	srv, out := install(t, organization(), &smtpserver.Server{Agents: []smtpserver.Agent{accept}})
	srv.Talk(t, stranger, envelope+body+"S: 250")
	if s := text(t, out.only(t)); strings.Count(s, "Received:") != 1 {
		t.Errorf("content %q", s)
	}
}

// The Gate's LoginLimit is that of all its servers, unless they have one of
// their own.
func TestLoginLimitOfGate(t *testing.T) {
	g := &Gate{Queue: new(outbox), LoginLimit: new(smtpserver.LoginLimit)}
	own := new(smtpserver.LoginLimit)
	a, b, c := new(smtpserver.Server), new(smtpserver.Server), &smtpserver.Server{LoginLimit: own}
	for _, srv := range []*smtpserver.Server{a, b, c} {
		if err := g.Install(srv); err != nil {
			t.Fatal(err)
		}
	}
	if a.LoginLimit != g.LoginLimit || b.LoginLimit != g.LoginLimit || c.LoginLimit != own {
		t.Error("the servers do not have the LoginLimit of the gate")
	}
	g.LoginLimit = &smtpserver.LoginLimit{Period: -1}
	if err := g.Install(new(smtpserver.Server)); err == nil || !strings.Contains(err.Error(), "LoginLimit") {
		t.Errorf("a wrong LoginLimit: %v", err)
	}
}

// Install changes only the server, and not the settings of the caller.
func TestInstallDoesNotChangeTheGate(t *testing.T) {
	rep := &Reputation{}
	list := []string{"*.Bad.example"}
	g := everything(t)
	g.Reputation, g.Senders = rep, &SenderFilter{Domains: list}
	before := *g
	connection, spoofing, senderDomain := *g.Connection, *g.Spoofing, *g.SenderDomain
	zone := g.Connection.BlockLists[0]
	srv, _ := install(t, g, nil)
	if rep.Domains != nil {
		t.Error("Reputation.Domains is set")
	}
	if g.Connection.Resolver != connection.Resolver || g.Spoofing.Domains != spoofing.Domains || g.SenderDomain.Resolver != senderDomain.Resolver {
		t.Error("a policy is changed")
	}
	if list[0] != "*.Bad.example" || g.Connection.BlockLists[0].Zone != zone.Zone || len(g.Domains) != len(before.Domains) || g.Domains[0].Name != before.Domains[0].Name {
		t.Error("a list is changed")
	}
	// The Reputation still uses the domains of the Gate: a HELO name in one of
	// them is forged.
	rep.MinPoints = 3
	srv.Talk(t, stranger, "S: 220\nC: EHLO example.com\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 550")
}

// A Reputation that two Gates share uses the domains of each Gate.
func TestReputationOfTwoGates(t *testing.T) {
	rep := &Reputation{MinPoints: 3}
	one, _ := install(t, &Gate{Domains: []Domain{{Name: "one.example"}}, Reputation: rep}, nil)
	two, _ := install(t, &Gate{Domains: []Domain{{Name: "two.example"}}, Reputation: rep}, nil)
	one.Talk(t, "192.0.2.11", "S: 220\nC: EHLO two.example\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 250")
	two.Talk(t, "192.0.2.12", "S: 220\nC: EHLO two.example\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 550")
}

// A network with host bits is an error: it would let the whole network relay,
// although perhaps one address is meant.
func TestNetworksWithHostBits(t *testing.T) {
	wrong := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}
	for name, g := range map[string]*Gate{
		"Networks": {Networks: wrong},
		"Grants":   {Grants: []Grant{{To: Clients{Networks: wrong}, Rights: Submit}}},
		"IPv6":     {Networks: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/32")}},
		"mapped":   {Networks: []netip.Prefix{netip.MustParsePrefix("::ffff:10.1.2.3/104")}},
	} {
		g.Queue = new(outbox)
		if err := g.Install(new(smtpserver.Server)); err == nil || !strings.Contains(err.Error(), "has bits beyond its length; the network is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	right := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("::ffff:10.0.0.0/104")}
	if err := (&Gate{Queue: new(outbox), Networks: right}).Install(new(smtpserver.Server)); err != nil {
		t.Error(err)
	}
	if err := (&Gate{Queue: new(outbox)}).Install(&smtpserver.Server{ProxyFrom: wrong}); err == nil {
		t.Error("ProxyFrom: no error")
	}
	n, err := NewNetworks(append(wrong, right...)...)
	if err == nil || n.Len() != 3 || n.Contains(netip.MustParseAddr("11.0.0.1")) {
		t.Errorf("NewNetworks: %d networks, %v", n.Len(), err)
	}
}
