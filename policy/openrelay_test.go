package policy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The reference configurations pass all probes of the open relay test.
func TestNoOpenRelay(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, tt := range []struct {
		name string
		gate Gate
	}{
		{"zero", Gate{}},
		{"smart host: Networks and users may relay", Gate{Networks: own, Authenticated: true}},
		{"edge: authoritative, with a directory", Gate{Domains: []Domain{{Name: "example.com", Directory: Recipients("alice", "bob")}}, Networks: own}},
		{"edge: authoritative, with a directory that says yes to everything", Gate{Domains: []Domain{
			{Name: "example.com", Directory: DirectoryFunc(func(context.Context, string) (bool, error) { return true, nil })}}, Networks: own}},
		{"edge: authoritative, without a directory", Gate{Domains: []Domain{{Name: "example.com"}, {Name: "*.example.com"}}, Networks: own}},
		{"shared: internal relay", Gate{Domains: []Domain{{Name: "example.com", Kind: InternalRelay, Directory: Recipients("alice")}}}},
		{"backup: external relay", Gate{Domains: []Domain{{Name: "example.com", Kind: ExternalRelay}}}},
		{"own name and address accepted", Gate{Domains: []Domain{{Name: "relay.example.com", Directory: Recipients("alice")}, {Name: "[192.0.2.25]", Directory: Recipients("alice")}}}},
		{"submission: users only", Gate{Grants: []Grant{}, Authenticated: true}},
		{"partners by name and certificate", Gate{Resolver: fakeDNS{}, Domains: []Domain{{Name: "example.com"}}, Grants: []Grant{
			{To: Clients{Everyone: true}, Rights: AnonymousUsers},
			{To: Clients{Hosts: []string{"*.partner.example"}, CertificateNames: []string{"*.partner.example"}}, Rights: ExchangeServers},
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, out := install(t, &tt.gate, &smtpserver.Server{Hostname: "relay.example.com", Auth: passwords(), AllowInsecureAuth: true,
				Limits: smtpserver.Limits{Tarpit: -1}})
			var domains []string
			for _, d := range tt.gate.Domains {
				domains = append(domains, strings.TrimPrefix(d.Name, "*."))
			}
			policytest.OpenRelay(t, srv, domains...)
			out.empty(t)
		})
	}
	t.Run("everything", func(t *testing.T) {
		g := everything(t)
		srv, out := install(t, g, &smtpserver.Server{Hostname: "relay.example.com", Limits: smtpserver.Limits{Tarpit: -1}})
		g.Resolver = fakeDNS{}
		policytest.OpenRelay(t, srv, "example.com", "subsidiary.example", "customer.example")
		out.empty(t)
	})
}

// The test finds open relays: for each probe there is a server that accepts it.
func TestOpenRelayIsDetected(t *testing.T) {
	findings := func(srv *policytest.Server, domains ...string) map[string]bool {
		o := &policytest.OpenRelayTest{Domains: domains, Hostname: "relay.example.com", Literal: "[192.0.2.25]",
			Dial: func(n int) (net.Conn, error) { return srv.Dial(fmt.Sprintf("203.0.113.%d", 1+n%250)) }}
		found, err := o.Run()
		if err != nil {
			t.Error(err)
		}
		open := make(map[string]bool)
		for _, f := range found {
			if f.Open {
				open[f.Name] = true
			}
		}
		return open
	}
	wide, _ := install(t, &Gate{Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, DangerouslyRelayForEveryone: true}, nil)
	open := findings(wide, "example.com")
	for _, name := range []string{"plain", "null sender", "HELO as localhost", "sender of example.com", "source route through example.com",
		"no brackets", "address literal", "percent hack through example.com", "quoted address through relay.example.com",
		"bang path through [192.0.2.25], null sender", "ends like example.com", "AUTH PLAIN, empty name", "XCLIENT"} {
		if !open[name] {
			t.Errorf("probe %q does not detect an open relay", name)
		}
	}
	// A server that accepts each address that ends with its domain.
	naive := serveAgents(t, smtpserver.Agent{Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		if strings.HasSuffix(to, "example.com") {
			return nil
		}
		return errRelay
	}})
	open = findings(naive, "example.com")
	for _, name := range []string{"ends like example.com", "percent hack through example.com", "quoted address through example.com", "bang path through example.com"} {
		if !open[name] {
			t.Errorf("probe %q does not detect a naive relay", name)
		}
	}
	if open["plain"] {
		t.Error("reports a probe that the server refused")
	}
	// A temporary refusal is reported as undecided.
	later := serveAgents(t, smtpserver.Agent{Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error { return errDirectory }})
	o := &policytest.OpenRelayTest{Dial: func(int) (net.Conn, error) { return later.Dial("203.0.113.1") }}
	found, err := o.Run()
	if err != nil || len(found) == 0 || found[0].Open || !strings.Contains(found[0].String(), "undecided: plain") {
		t.Errorf("a server that defers: %v, %v", found, err)
	}
}
