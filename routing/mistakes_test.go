package routing

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Mistakes in the settings of one connector. NewTable returns an error that names
// the field.
func TestWrongConnectors(t *testing.T) {
	var (
		auth       = smtpclient.PasswordAuth("u", "p")
		none       = smtpclient.TLSPolicy{Level: smtpclient.TLSNone}
		noResolver *DNSResolver
		noFunc     TransportFunc
	)
	site := Site{
		Names: []string{"relay.example.com"},
		Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2525")},
	}
	host := func(h string) Connector { return Connector{SmartHosts: SmartHosts(h)} }
	space := func(s string) Connector { return Connector{Spaces: []string{s}} }
	smtp := func(tr *smtpclient.Transport) Connector {
		return Connector{SmartHosts: SmartHosts("mail.example.net"), Transport: SMTP(tr)}
	}
	for _, c := range []struct {
		connector Connector
		want      string
	}{
		// The smart host is the relay itself.
		{host("127.0.0.1:2525"), `SmartHosts[0]: "127.0.0.1:2525" is this relay, so mail to it would loop`},
		{host("Relay.Example.com"), `SmartHosts[0]: "Relay.Example.com" is this relay, so mail to it would loop`},
		{host("127.0.0.1:2526"), ""}, // another server on this host
		{host("relay.example.com:2526"), ""},

		// The smart host is not one host.
		{host(""), `SmartHosts[0]: "" is empty: a host is a name or an address, such as "relay.example.net" or "192.0.2.1:587"`},
		{host("mail example.com"), `SmartHosts[0]: "mail example.com" has a space, so it is not a host: use one SmartHost for each host`},
		{host(" mail.example.com"), `SmartHosts[0]: " mail.example.com" has a space, so it is not a host: use one SmartHost for each host`},
		{host("smtp://mail.example.com"), `SmartHosts[0]: "smtp://mail.example.com" is a URL, not a host: use "mail.example.com"`},
		{host("smtp://mail.example.com:587/"), `SmartHosts[0]: "smtp://mail.example.com:587/" is a URL, not a host: use "mail.example.com:587"`},
		{host("smtps://mail.example.com:465"), `SmartHosts[0]: "smtps://mail.example.com:465" is a URL, not a host: use "mail.example.com:465", with the port and a Transport with ImplicitTLS`},
		{host("mail.example.com, mail2.example.com"), `SmartHosts[0]: "mail.example.com, mail2.example.com" is a list, not one host: use one SmartHost for each`},
		{host("mail.example.com;mail2.example.com"), `SmartHosts[0]: "mail.example.com;mail2.example.com" is a list, not one host: use one SmartHost for each`},
		{host("mail.example.com:99999"), `SmartHosts[0]: "mail.example.com:99999": the port "99999" is not a number from 1 to 65535`},
		{host("10.0.0.5:smtp"), `SmartHosts[0]: "10.0.0.5:smtp": the port "smtp" is not a number from 1 to 65535`},
		{host("10.0.0.5:"), `SmartHosts[0]: "10.0.0.5:": the port "" is not a number from 1 to 65535`},
		{host("mail.example.com:587"), ""},
		{host("unix:/run/my relay, local.sock"), ""},

		// Address spaces.
		{space("exam ple.com"), `Spaces[0]: "exam ple.com": "exam ple.com" is not a host name`},
		{space(""), `Spaces[0]: "": "" is not a host name`},
		{space(".example.com"), `Spaces[0]: ".example.com": ".example.com" is not a host name`},
		{space("@example.com"), `Spaces[0]: "@example.com": "@example.com" is not a host name`},
		{space("alice@example.com"), `Spaces[0]: "alice@example.com": "alice@example.com" is not a host name`},
		{space("example..com"), `Spaces[0]: "example..com": "example..com" is not a host name`},
		{space("*;0"), `Spaces[0]: "*;0": the cost is not a number from 1 to 100`},
		{space("X400:c=de;1"), `Spaces[0]: "X400:c=de;1": the type of an address space can only be SMTP`},
		{Connector{Spaces: []string{"example.com", "Example.COM."}}, `Spaces[1]: "Example.COM." is listed twice`},
		{space(" example.com\t"), ""}, // spaces around a domain are ignored, as in policy
		{space(" smtp : *.example.com ; 5 "), ""},
		{space("münchen.example"), ""},
		{space("EXAMPLE.com."), ""},

		// Numbers.
		{Connector{Port: 70000}, "Port: 70000 is not a port"},
		{Connector{MaxMessageSize: -1}, "MaxMessageSize: negative"},
		{Connector{MaxConcurrency: -1}, "MaxConcurrency: negative"},
		{Connector{Retry: []time.Duration{-1}}, "Retry[0]: -1ns is not a positive duration"},
		{Connector{Expire: -1}, "Expire: negative"},
		{Connector{Fallback: "zz"}, `Fallback: there is no connector "zz"`},

		// Authentication without TLS. The settings of the connector take
		// precedence over those of the Transport.
		{Connector{SmartHosts: SmartHosts("mail.example.net"), Auth: auth, TLS: &none}, "Auth: needs TLS, but the TLS level is none: use TLS, or a Transport with AllowInsecureAuth"},
		{smtp(&smtpclient.Transport{Auth: auth, TLS: none}), "Auth: needs TLS, but the TLS level is none: use TLS, or a Transport with AllowInsecureAuth"},
		{smtp(&smtpclient.Transport{Auth: auth, TLS: none, AllowInsecureAuth: true}), ""},
		{Connector{SmartHosts: SmartHosts("mail.example.net"), Auth: smtpclient.Mechanisms(nil, "PLAIN")}, "Auth: is Mechanisms of a nil Authenticator"},
		{Connector{SmartHosts: SmartHosts("mail.example.net"), Auth: smtpclient.TokenAuth("u", nil)}, "Auth: is TokenAuth with a nil function"},

		// Other settings of the Transport.
		{smtp(&smtpclient.Transport{MaxAddrs: -1}), "Transport.MaxAddrs: is -1: must not be negative"},
		{smtp(&smtpclient.Transport{Hostname: "my relay"}), `Transport.Hostname: "my relay" is not a host name`},
		{smtp(&smtpclient.Transport{TLS: smtpclient.TLSPolicy{Level: 99}}), "Transport.TLS.Level: is 99: there is no such level"},
		{Connector{TLS: &smtpclient.TLSPolicy{Level: 99}}, "TLS.Level: is 99: there is no such level"},
		{Connector{DomainTLS: map[string]smtpclient.TLSPolicy{"example.com": {Level: 99}}}, `DomainTLS["example.com"].Level: is 99: there is no such level`},
		{smtp(&smtpclient.Transport{ImplicitTLS: true, TLS: none}), "Transport.ImplicitTLS: contradicts the TLS level none"},

		// Nil parts.
		{smtp(nil), "Transport: SMTP: the smtpclient.Transport is nil"},
		{Connector{Transport: noFunc}, "Transport: is a nil routing.TransportFunc"},
		{Connector{Transport: (*Pipe)(nil)}, "Transport: is a nil *routing.Pipe"},
		{Connector{Resolver: noResolver}, "Resolver: is a nil *routing.DNSResolver"},
	} {
		c.connector.Name = "out"
		if c.connector.Spaces == nil {
			c.connector.Spaces = []string{"*"}
		}
		_, err := site.NewTable(c.connector)
		if got := errorText(err); c.want != "" && got != "connector out: "+c.want || c.want == "" && err != nil {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		var config *ConfigError
		if err != nil && !errors.As(err, &config) {
			t.Errorf("%v is not a ConfigError", err)
		}
	}
}

// Mistakes in the table as a whole.
func TestWrongTables(t *testing.T) {
	all := []string{"*"}
	for _, c := range []struct {
		site       Site
		connectors []Connector
		want       string
	}{
		{Site{}, nil, "(table): connectors: missing: a table needs at least one"},
		{Site{}, []Connector{{Spaces: all}}, "connector number 1: Name: missing"},
		{Site{}, []Connector{{Name: "a"}}, "connector a: Spaces: missing: a connector without address spaces must be RoutedOnly or the Fallback of another one"},
		{Site{}, []Connector{{Name: "a", Spaces: all}, {Name: "a", Spaces: []string{"example.com"}}}, "connector a: Name: another connector has the same name"},
		{Site{}, []Connector{{Name: "a", Spaces: all}, {Name: "b", Spaces: all}}, "connector b: Name: this connector differs from a only in the name"},
		{Site{}, []Connector{{Name: "a", Spaces: all}, {Name: "b", Spaces: []string{"*;5"}}}, ""}, // b is for the mail that a refuses
		{Site{BackupDomains: []string{"example.com"}}, []Connector{{Name: "a", Spaces: []string{"example.net"}}}, `(site): BackupDomains[0]: no connector serves "example.com": its mail would be accepted but could not be sent`},
		{Site{BackupDomains: []string{" example.com "}}, []Connector{{Name: "a", Spaces: []string{"example.com"}}}, ""},
		{Site{Domains: []string{"exam ple.com"}}, []Connector{{Name: "a", Spaces: all}}, `(site): Domains: "exam ple.com" is not a host name`},
	} {
		_, err := c.site.NewTable(c.connectors...)
		if got := errorText(err); c.want == "" && err != nil || c.want != "" && !strings.HasPrefix(got, c.want) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A transport that NewTransport makes is checked like the Transport of a
// connector, and nil is an error.
func TestWrongRouter(t *testing.T) {
	tb := table(t, Connector{Name: "out", Spaces: []string{"*"}})
	var noResolver *NetResolver
	for _, c := range []struct {
		router *Router
		want   string
	}{
		{&Router{}, "routing: Router.Table is not set"},
		{&Router{Table: tb, Resolver: noResolver}, "routing: Router.Resolver: is a nil *resolver.Net"},
		{&Router{Table: tb, Hostname: "my relay"}, `routing: Router.Hostname "my relay" is not a host name`},
		{&Router{Table: tb, DownTime: 30}, "routing: Router.DownTime is 30 nanoseconds: is the unit missing, for example 30*time.Second?"},
		{&Router{Table: tb, NewTransport: func(string) *smtpclient.Transport { return nil }}, `routing: connector "out": Router.NewTransport returned nil`},
		{&Router{Table: tb, NewTransport: func(string) *smtpclient.Transport { return &smtpclient.Transport{MaxAddrs: -1} }},
			`routing: connector "out": Router.NewTransport: smtpclient: Transport.MaxAddrs is -1: must not be negative`},

		{&Router{Table: tb}, ""},
		{&Router{Table: tb, Hostname: "relay.example.com", DownTime: -1}, ""},
		{&Router{Table: tb, NewTransport: func(string) *smtpclient.Transport { return new(smtpclient.Transport) }}, ""},
	} {
		if got := errorText(c.router.Check()); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

// A request for held mail returns the mistake in the settings of the Fetcher.
func TestWrongFetcher(t *testing.T) {
	ctx := t.Context()
	serve := func(net.Listener) error { return nil }
	for _, c := range []struct {
		fetcher *Fetcher
		want    string
	}{
		{&Fetcher{Provider: SmartHost{Host: "mail.example.net"}, Domains: []string{"example.com"}}, "requesting mail from mail.example.net: Fetcher.Transport is not set"},
		{&Fetcher{Transport: &smtpclient.Transport{MaxAddrs: -1}, Provider: SmartHost{Host: "mail.example.net"}, Domains: []string{"example.com"}},
			"requesting mail from mail.example.net: smtpclient: Transport.MaxAddrs is -1: must not be negative"},
		{&Fetcher{Transport: new(smtpclient.Transport), Domains: []string{"example.com"}}, `requesting mail from : "" is empty: a host is a name or an address, such as "relay.example.net" or "192.0.2.1:587"`},
		{&Fetcher{Transport: new(smtpclient.Transport), Method: FetchATRN, Provider: SmartHost{Host: "mail.example.net"}}, "requesting mail from mail.example.net: cannot receive the mail: Serve is nil"},
		{&Fetcher{Transport: new(smtpclient.Transport), Method: FetchATRN, Serve: serve, Provider: SmartHost{Host: "smtp://x"}}, `requesting mail from smtp://x: "smtp://x" is a URL, not a host: use "x"`},
	} {
		if got := errorText(c.fetcher.Fetch(ctx)); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

// None of these calls panics with nil. Calls that could mean something with nil
// are in the comment of the function.
func TestNil(t *testing.T) {
	ctx := context.Background()
	job := &Job{Message: &queue.Message{Content: queue.String("Subject: x\r\n\r\n")}, Recipients: queue.Rcpt("b@example.net")}
	for name, transport := range map[string]Transport{"SMTP(nil)": SMTP(nil), "TransportFunc(nil)": TransportFunc(nil)} {
		r := transport.Deliver(ctx, job)
		if len(r) != 1 || r[0].Outcome == queue.Success || !strings.Contains(r[0].Reply.Message, "nil") && r[0].Err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if n, err := WakeQueue(nil)(ctx, func(queue.NextHop) bool { return true }); n != -1 || err == nil {
		t.Errorf("WakeQueue(nil): %d, %v", n, err)
	}
	if _, err := LookupTXT(ctx, nil, "example.com"); err == nil {
		t.Error("LookupTXT with a nil Resolver")
	}
	if _, err := ParseSchedule("always", nil); err != nil { // UTC or local time: see its comment
		t.Error(err)
	}
	r := &Router{}
	r.SetTable(nil)
	r.OnChange(nil)
	r.SetTable(nil)
}
