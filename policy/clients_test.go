package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const tryToRelay = `
	S: 220
	C: EHLO client.example
	S: 250
	C: MAIL FROM:<>
	S: 250
	C: RCPT TO:<bob@example.net>
	S: `

// Clients are selected by address, name and identity, with and without Except.
func TestWhoMayRelay(t *testing.T) {
	dns := fakeDNS{
		"PTR 192.0.2.1": "mx.partner.example.", "A mx.partner.example": "192.0.2.1 2001:db8::1",
		"PTR 192.0.2.2": "mx.partner.example.", // its PTR record has the name, but the name does not have its address
		"PTR 192.0.2.3": "FAIL",
		"PTR 192.0.2.4": "a.example. b.partner.example.", "A a.example": "FAIL", "A b.partner.example": "192.0.2.4",
		"PTR 192.0.2.5": "partner.example.", "A partner.example": "192.0.2.5",
		"PTR 192.0.2.6": "a.example.",
	}
	list := Clients{
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Hosts:    []string{"*.Partner.example", "smtp.bücher.example"},
	}
	for _, tt := range []struct {
		from            string
		only, allExcept string // DNS answers
	}{
		{"198.51.100.7", "250", "550 5.7.1"},
		{"192.0.2.1", "250", "550 5.7.1"},
		{"192.0.2.2", "550 5.7.1", "250"},
		{"192.0.2.3", "451 4.4.3", "451 4.4.3"},
		{"192.0.2.4", "250", "550 5.7.1"}, // the lookup of one name fails, and the other name is confirmed
		{"192.0.2.5", "550 5.7.1", "250"}, // a domain is not below itself
		{"192.0.2.6", "451 4.4.3", "451 4.4.3"},
		{"192.0.2.7", "550 5.7.1", "250"}, // the client has no name
	} {
		grants := []Grant{{To: Clients{Everyone: true}, Rights: Submit}}
		only := &Relay{Resolver: dns, Grants: append(grants, Grant{To: list, Rights: AcceptAnyRecipient})}
		if err := only.Validate(); err != nil {
			t.Fatal(err)
		}
		serveAgents(t, only.Agent()).Talk(t, tt.from, tryToRelay+tt.only)

		except := &Relay{Resolver: dns, Grants: append(grants, Grant{To: Clients{Everyone: true, Except: &list}, Rights: AcceptAnyRecipient})}
		if err := except.Validate(); err == nil || !strings.Contains(err.Error(), "everyone except a list") {
			t.Errorf("all except the list: %v", err)
		}
		serveAgents(t, except.Agent()).Talk(t, tt.from, tryToRelay+"550") // refused, although the setting is an open relay
		except.DangerouslyRelayForEveryone = true
		if err := except.Validate(); err != nil {
			t.Error(err)
		}
		serveAgents(t, except.Agent()).Talk(t, tt.from, tryToRelay+tt.allExcept)
	}
}

func TestIdentities(t *testing.T) {
	r := &Relay{Grants: []Grant{
		{To: Clients{Everyone: true}, Rights: Submit},
		{To: Clients{Identities: []string{"Alice"}}, Rights: AcceptAnyRecipient}, // she logs in as alice
	}}
	srv := servePasswords(t, r.Agent())
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN AGJvYgBib2I=
		S: 235
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<bob@example.net>
		S: 550 5.7.1
	`)
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<bob@example.net>
		S: 550 5.7.1
		C: RSET
		S: 250
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<bob@example.net>
		S: 250
	`)
}

// Without the right Submit, a client cannot send mail.
func TestSubmitRight(t *testing.T) {
	r := &Relay{Grants: []Grant{}, Authenticated: true}
	servePasswords(t, r.Agent()).Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<alice@example.com>
		S: 530 5.7.0 Authentication required
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<bob@example.net>
		S: 250
	`)
	serveAgents(t, r.Agent()).Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<alice@example.com>
		S: 550 5.7.1 You may not send mail here
	`)
}

func TestCertificates(t *testing.T) {
	mine, other := selfSigned(t), selfSigned(t)
	leaf, err := x509.ParseCertificate(mine.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, tt := range []struct {
		name    string
		clients Clients
		auth    tls.ClientAuthType
		shown   *tls.Config
		want    string
	}{
		{"the key", Clients{CertificateKeys: []string{hex.EncodeToString(key[:])}}, tls.RequestClientCert, mine, "250"},
		{"another key", Clients{CertificateKeys: []string{hex.EncodeToString(key[:])}}, tls.RequestClientCert, other, "550"},
		{"no certificate", Clients{CertificateKeys: []string{hex.EncodeToString(key[:])}}, tls.RequestClientCert, nil, "550"},
		{"a verified name", Clients{CertificateNames: []string{"*.Example.com"}}, tls.VerifyClientCertIfGiven, mine, "250"},
		{"a name that is not verified", Clients{CertificateNames: []string{"*.example.com"}}, tls.RequestClientCert, mine, "550"},
		{"another name", Clients{CertificateNames: []string{"*.example.net", "alice@example.com"}}, tls.VerifyClientCertIfGiven, mine, "550"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Relay{Grants: []Grant{{To: Clients{Everyone: true}, Rights: Submit}, {To: tt.clients, Rights: AcceptAnyRecipient}}}
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
			conf := selfSigned(t)
			conf.ClientAuth, conf.ClientCAs = tt.auth, roots
			srv := serve(t, &smtpserver.Server{TLSConfig: conf, TLSMode: smtpserver.TLSImplicit, Agents: []smtpserver.Agent{r.Agent()}})
			c, err := srv.Dial(stranger)
			if err != nil {
				t.Fatal(err)
			}
			shown := &tls.Config{InsecureSkipVerify: true} // the test made its own server
			if tt.shown != nil {
				shown.Certificates = tt.shown.Certificates
			}
			talkOn(t, tls.Client(c, shown), tryToRelay+tt.want)
		})
	}
	// The certificate of a front end does not identify the client for which it
	// forwards the connection.
	t.Run("behind a front end", func(t *testing.T) {
		r := &Relay{Grants: []Grant{
			{To: Clients{Everyone: true}, Rights: Submit},
			{To: Clients{CertificateKeys: []string{hex.EncodeToString(key[:])}}, Rights: AcceptAnyRecipient},
		}}
		conf := selfSigned(t)
		conf.ClientAuth = tls.RequestClientCert
		srv := serve(t, &smtpserver.Server{TLSConfig: conf, TLSMode: smtpserver.TLSImplicit, Agents: []smtpserver.Agent{r.Agent()},
			XClientFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		c, err := srv.Dial(neighbour)
		if err != nil {
			t.Fatal(err)
		}
		front := tls.Client(c, &tls.Config{InsecureSkipVerify: true, Certificates: mine.Certificates})
		talkOn(t, front, tryToRelay+"250\nC: RSET\nS: 250\nC: XCLIENT ADDR=192.0.2.1"+tryToRelay+"550 5.7.1")
	})
}

// Validate names each wrong setting. A wrong setting never selects more
// clients.
func TestClientsErrors(t *testing.T) {
	for _, tt := range []struct {
		to   Clients
		want string
	}{
		{Clients{Networks: make([]netip.Prefix, 1)}, "not a valid prefix"},
		{Clients{Identities: []string{""}}, "empty identity"},
		{Clients{Hosts: []string{"*"}}, `Clients.Hosts: "*" is neither`},
		{Clients{Hosts: []string{"a..b"}}, `Clients.Hosts: "a..b"`},
		{Clients{CertificateKeys: []string{"12:34"}}, `"12:34" is not a SHA-256`},
		{Clients{CertificateNames: []string{"*.*"}}, `Clients.CertificateNames: "*.*"`},
		{Clients{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Except: &Clients{Hosts: []string{"bad host"}}}, `"bad host"`},
	} {
		r := &Relay{Grants: []Grant{{To: Clients{Everyone: true}, Rights: Submit}, {To: tt.to, Rights: AcceptAnyRecipient}}}
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want one with %q", tt.to, err, tt.want)
		}
		serveAgents(t, r.Agent()).Talk(t, stranger, tryToRelay+"550")
	}
}

// A setting that would make an open relay is an error that names the setting.
func TestOpenRelaySettingsAreErrors(t *testing.T) {
	halves := []netip.Prefix{}
	for i := range 32 { // each is allowed with DangerouslyRelayForEveryone
		halves = append(halves, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i + 32), 0, 0, 0}), 8))
	}
	for _, tt := range []struct {
		relay Relay
		want  string
	}{
		{Relay{Grants: []Grant{{To: Clients{Everyone: true}, Rights: ExchangeServers}}}, "policy: Grants[0]: accept-any-recipient for everyone"},
		{Relay{Grants: []Grant{{To: Clients{Anonymous: true}, Rights: AcceptAnyRecipient}}}, "for all anonymous clients"},
		{Relay{Networks: halves}, "in total"},
		{Relay{Grants: []Grant{{To: Clients{Hosts: []string{"*.com"}}, Rights: AcceptAnyRecipient}}}, `relay host "*.com"`},
		{Relay{Grants: []Grant{{To: Clients{Hosts: []string{"*.co.uk"}}, Rights: AcceptAnyRecipient}}}, `relay host "*.co.uk"`},
		{Relay{Grants: []Grant{{To: Clients{CertificateNames: []string{"*.org"}}, Rights: AcceptAnyRecipient}}}, `relay certificate name "*.org"`},
		{Relay{Domains: mustDomains(t, Domain{Name: "*.com"})}, `accepted domain "*.com"`},
		{Relay{Domains: mustDomains(t, Domain{Name: "*.net", Kind: ExternalRelay})}, `accepted domain "*.net"`},
	} {
		err := tt.relay.Validate()
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "open relay") {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
		tt.relay.DangerouslyRelayForEveryone = true
		if err := tt.relay.Validate(); err != nil {
			t.Errorf("with DangerouslyRelayForEveryone: %v", err)
		}
	}
	fine := Relay{
		Domains:       mustDomains(t, Domain{Name: "*.example.com"}, Domain{Name: "*.com.example"}),
		Networks:      halves[:16],
		Authenticated: true,
		Grants: []Grant{
			{To: Clients{Everyone: true}, Rights: AnonymousUsers},
			{To: Clients{Hosts: []string{"*.example.com", "mx.example.net"}}, Rights: Partners},
		},
	}
	if err := fine.Validate(); err != nil {
		t.Error(err)
	}
}

// If every client may act as a front end, every client can give itself an
// address that may relay.
func TestFrontEndNetworksTooWide(t *testing.T) {
	allAddresses := []netip.Prefix{netip.MustParsePrefix("::/0")}
	for setting, srv := range map[string]*smtpserver.Server{"XClientFrom": {XClientFrom: allAddresses}, "ProxyFrom": {ProxyFrom: allAddresses}} {
		g := &Gate{Queue: new(outbox)}
		if err := g.Install(srv); err == nil || !strings.Contains(err.Error(), setting+" ::/0") {
			t.Errorf("%s: error %v", setting, err)
		}
		g.DangerouslyRelayForEveryone = true
		if err := g.Install(srv); err != nil {
			t.Errorf("%s with DangerouslyRelayForEveryone: %v", setting, err)
		}
	}
}

func TestRightNames(t *testing.T) {
	for r, want := range map[Right]string{
		0:                  "none",
		Partners:           "submit,accept-routing-headers",
		AcceptAnyRecipient: "accept-any-recipient",
		Submit | 1<<15:     "submit,Right(0x8000)",
	} {
		if got := r.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint16(r), got, want)
		}
	}
}

// BypassMessageSizeLimit removes the size limit for the sessions that have the
// right.
func TestBypassMessageSizeLimit(t *testing.T) {
	r := &Relay{Grants: []Grant{
		{To: Clients{Everyone: true}, Rights: Submit},
		{To: Clients{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, Rights: ExternallySecured},
	}}
	srv := serve(t, &smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 1000}, Agents: []smtpserver.Agent{r.Agent()}})
	for from, want := range map[string]string{stranger: "552", neighbour: "250"} {
		srv.Talk(t, from, `
			S: 220
			C: EHLO client.example
			S: 250
			C: MAIL FROM:<> SIZE=2000
			S: `+want)
	}
	// The rights of a front end do not apply to the client for which it
	// forwards the connection.
	srv.XClientFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	srv.Talk(t, neighbour, `
		S: 220
		C: XCLIENT ADDR=192.0.2.1
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<> SIZE=2000
		S: 552`)
}
