package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// fillProxies gives bob the addresses that Active Directory would have.
func (s *slapd) fillProxies(t *testing.T) {
	t.Helper()
	c, err := ldap.DialURL(s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	m := ldap.NewModifyRequest("uid=bob,"+suffix, nil)
	m.Add("objectClass", []string{"extensibleObject"})
	m.Replace("mail", []string{"bob@example.com"})
	m.Add("proxyAddresses", []string{"smtp:bob@example.com", "SMTP:Robert.Jones@example.com", "smtp:rj@example.com", "x500:/o=x"})
	if err := c.Modify(m); err != nil {
		t.Fatal(err)
	}
}

func TestSlapdPrimary(t *testing.T) {
	s := startSlapd(t)
	s.fillProxies(t)
	d := &Directory{URLs: []string{s.tls}, BaseDN: suffix, BindDN: admin, Password: password, TLSConfig: &tls.Config{RootCAs: s.roots}, Timeout: 3 * time.Second}
	defer d.Close()
	p := &Primary{Directory: d, TTL: time.Hour}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for address, want := range map[string]string{
			"a.liddell@example.com": "alice@example.com", "Alice@example.com": "alice@example.com",
			"rj@example.com": "Robert.Jones@example.com", "bob@example.com": "Robert.Jones@example.com", "robert.jones@example.com": "Robert.Jones@example.com",
			"mallory@example.com": "", "*@example.com": "",
		} {
			if got, err := p.Primary(t.Context(), address); err != nil || got != want {
				t.Errorf("%s: %q, %v; want %q", address, got, err, want)
			}
		}
	}

	// The relay sends mail with primary addresses, and delivers mail for all addresses.
	var sent []string
	gate := &policy.Gate{Networks: anyNetwork, Domains: []policy.Domain{{Name: "example.com", Directory: d}}}
	primary := &rewrite.Primary{Source: p, Domains: []string{"example.com"}}
	if err := primary.Validate(); err != nil {
		t.Fatal(err)
	}
	gate.Outbound = []smtpserver.Agent{primary.Agent()}
	gate.Queue = submitted(func(m *queue.Message) { sent = append(sent, fmt.Sprintf("%s to %s", m.From, m.Recipients[0].Addr)) })
	server := &smtpserver.Server{}
	if err := gate.Install(server); err != nil {
		t.Fatal(err)
	}
	srv := policytest.New(t, server)
	const end = "C: DATA\nS: 354\nC: From: RJ <rj@example.com>\nC:\nC: x\nC: .\n"
	srv.Talk(t, "10.0.0.5", "S: 220\nC: EHLO mail.example.com\nS: 250\nC: MAIL FROM:<rj@example.com>\nS: 250\nC: RCPT TO:<a.liddell@example.com>\nS: 250\n"+end+"S: 250")
	if want := "Robert.Jones@example.com to a.liddell@example.com"; strings.Join(sent, ", ") != want {
		t.Errorf("sent: %s, want %s", sent, want)
	}

	// Without a server, answers that are known are used. Other mail is deferred.
	s.stop()
	if got, err := p.Primary(t.Context(), "rj@example.com"); err != nil || got != "Robert.Jones@example.com" {
		t.Errorf("from the cache: %q, %v", got, err)
	}
	srv.Talk(t, "10.0.0.5", "S: 220\nC: EHLO mail.example.com\nS: 250\nC: MAIL FROM:<carol@example.com>\nS: 250\nC: RCPT TO:<x@example.net>\nS: 250\n"+end+"S: 451 4.3.0 The primary address")
	if len(sent) != 1 {
		t.Errorf("sent: %s", sent)
	}
}

// anyNetwork has the clients of the tests.
var anyNetwork = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}

// submitted is a policy.Submitter that calls a function.
type submitted func(*queue.Message)

func (f submitted) Submit(_ context.Context, m *queue.Message) error {
	f(m)
	return nil
}

func TestSlapdPrimaryAmbiguous(t *testing.T) {
	s := startSlapd(t)
	d := &Directory{URLs: []string{s.plain}, BaseDN: suffix, BindDN: admin, Password: password, AllowPlainPassword: true, AllowSeveral: true}
	defer d.Close()
	p := &Primary{Directory: d}
	for range 2 {
		if got, err := p.Primary(t.Context(), "office@example.com"); got != "" || !errors.Is(err, policy.ErrAmbiguous) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestPrimaryOf(t *testing.T) {
	for want, v := range map[string][2][]string{
		"b@example.com": {{"smtp:a@example.com", "X400:c=us", "SMTP:b@example.com"}, {"c@example.com"}},
		"c@example.com": {{"smtp:a@example.com", "SMTP:not an address"}, {"c@example.com", "d@example.com"}},
		"e@example.com": {nil, {"nobody", "SMTP:e@example.com"}},
		"":              {{"smtp:a@example.com"}, {"<x>@example.com"}},
	} {
		if got := primaryOf(v[0], v[1]); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestPrimaryValidate(t *testing.T) {
	d := &Directory{URLs: []string{"ldap://localhost"}}
	for want, p := range map[string]*Primary{
		"Directory is not set":  {},
		"MaxCached is negative": {Directory: d, MaxCached: -1},
		"not the name of an at": {Directory: d, Mail: "e mail"},
		"URLs is empty":         {Directory: &Directory{}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
