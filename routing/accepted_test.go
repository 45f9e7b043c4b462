package routing

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// An accepted domain that no connector serves is an error that names the
// domain.
func TestAcceptedDomainsAreServed(t *testing.T) {
	smart := SmartHosts("[10.0.0.5]")
	for _, c := range []struct {
		site   Site
		spaces []string
		want   string // empty: no error
	}{
		{Site{Domains: []string{"example.com", "example.org"}}, []string{"example.com"}, `(site): Domains[1]: no connector serves "example.org"`},
		{Site{Domains: []string{"example.com"}, BackupDomains: []string{"friend.example"}}, []string{"example.com"}, `(site): BackupDomains[0]: no connector serves "friend.example"`},
		{Site{Domains: []string{"*.example.com"}}, []string{"example.org"}, `(site): Domains[0]: no connector serves "*.example.com"`},
		{Site{Domains: []string{"a.example.com"}}, []string{"b.example.com"}, `(site): Domains[0]: no connector serves "a.example.com"`},
		{Site{Domains: []string{"example.com"}}, []string{"a.example.com"}, `(site): Domains[0]: no connector serves "example.com"`},
		{Site{Domains: []string{"Example.COM", "b\u00fccher.example"}}, []string{"example.com", "xn--bcher-kva.example"}, ""},
		{Site{Domains: []string{"example.com", "example.org"}}, []string{"--"}, ""},
		{Site{Domains: []string{"example.com"}}, []string{"*"}, ""},
		{Site{Domains: []string{"a.b.example.com"}}, []string{"*.example.com"}, ""},
		{Site{Domains: []string{"*.b.example.com"}}, []string{"*.example.com"}, ""},
		{Site{Domains: []string{"*.example.com"}}, []string{"*.example.com"}, ""},
		{Site{Domains: []string{"*.example.com"}}, []string{"example.com"}, ""},     // a part of it
		{Site{Domains: []string{"*.example.com"}}, []string{"*.b.example.com"}, ""}, // in the other order
	} {
		_, err := c.site.NewTable(Connector{Name: "c", Spaces: c.spaces, SmartHosts: smart})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v by %v: %v, want %q", c.site, c.spaces, err, c.want)
		}
	}
	// A disabled connector is no error: the operator wants its mail to wait.
	if _, err := (Site{Domains: []string{"example.com"}}).NewTable(Connector{Name: "c", Spaces: []string{"example.com"}, SmartHosts: smart, Disabled: true}); err != nil {
		t.Errorf("disabled: %v", err)
	}
}

func TestTablesWithoutConnectors(t *testing.T) {
	for _, s := range []Site{{}, {Domains: []string{"example.com"}}} {
		if _, err := s.NewTable(); err == nil || err.Error() != "(table): connectors: missing: a table needs at least one" {
			t.Errorf("%v", err)
		}
	}
}

// A queue whose Router has no Table does not start.
func TestRouterWithoutTable(t *testing.T) {
	q := &queue.Queue{Store: new(memory.Store), Deliverer: &Router{Hostname: "relay.test"}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := q.Run(ctx); err == nil || !strings.Contains(err.Error(), "Router.Table is not set") {
		t.Errorf("%v", err)
	}
	r := &Router{Hostname: "relay.test"}
	r.SetTable(table(t, Connector{Name: "c", Spaces: []string{"*"}}))
	if err := r.Check(); err != nil {
		t.Errorf("with SetTable: %v", err)
	}
}

// A connector that authenticates but never uses TLS is an error, unless its
// Transport allows this.
func TestAuthWithoutTLS(t *testing.T) {
	auth := smtpclient.PasswordAuth("u", "p")
	none := &smtpclient.TLSPolicy{Level: smtpclient.TLSNone}
	transport := func(change func(*smtpclient.Transport)) Transport {
		tr := &smtpclient.Transport{}
		change(tr)
		return SMTP(tr)
	}
	smart := SmartHosts("relay.example.net")
	for what, c := range map[string]struct {
		Connector
		want string
	}{
		"level of the connector": {Connector{SmartHosts: smart, Auth: auth, TLS: none}, "connector c: Auth: "},
		"level of the transport": {Connector{SmartHosts: smart, Auth: auth,
			Transport: transport(func(t *smtpclient.Transport) { t.TLS.Level = smtpclient.TLSNone })}, "connector c: Auth: "},
		"credentials of the transport": {Connector{SmartHosts: smart, TLS: none,
			Transport: transport(func(t *smtpclient.Transport) { t.Auth = auth })}, "connector c: Auth: "},
		"level of a domain": {Connector{Spaces: []string{"example.net"}, Auth: auth,
			DomainTLS: map[string]smtpclient.TLSPolicy{"example.net": *none}}, `connector c: DomainTLS["example.net"]: `},
		"allowed": {Connector{SmartHosts: smart, Auth: auth, TLS: none,
			Transport: transport(func(t *smtpclient.Transport) { t.AllowInsecureAuth = true })}, ""},
		"the connector's level counts": {Connector{SmartHosts: smart, Auth: auth, TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSDomain},
			Transport: transport(func(t *smtpclient.Transport) { t.TLS.Level = smtpclient.TLSNone })}, ""},
		"with TLS":    {Connector{SmartHosts: smart, Auth: auth}, ""},
		"without":     {Connector{SmartHosts: smart, TLS: none}, ""},
		"direct mail": {Connector{SmartHosts: smart, DirectFirst: true, Auth: auth, DomainTLS: map[string]smtpclient.TLSPolicy{"example.net": *none}}, ""},
	} {
		c.Name = "c"
		if c.Spaces == nil {
			c.Spaces = []string{"*"}
		}
		_, err := NewTable(c.Connector)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}
