package routing

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// DANE cannot work with a Resolver that has no authenticated answers.
func TestDANENeedsAuthenticatedAnswers(t *testing.T) {
	dane := smtpclient.TLSPolicy{Level: smtpclient.TLSDANE}
	unsigned, trusting := &NetResolver{}, &DNSResolver{TrustAD: true}
	unknown := ResolverFunc(func(context.Context, string, RecordType) (*Answer, error) { return nil, net.ErrClosed })
	for name, c := range map[string]struct {
		c        Connector
		resolver Resolver // of the Router
		want     string   // in the error; "" means none
	}{
		"net.Resolver":              {Connector{TLS: &dane}, unsigned, `connector "x": TLS: the level dane needs answers that DNSSEC authenticates, but the Resolver has none (a net.Resolver does not report DNSSEC)`},
		"no TrustAD":                {Connector{TLS: &dane}, &DNSResolver{}, "DNSResolver.TrustAD is not set"},
		"the default":               {Connector{TLS: &dane}, nil, "DNSResolver.TrustAD is not set"},
		"a domain":                  {Connector{DomainTLS: map[string]smtpclient.TLSPolicy{"example.net": dane}}, unsigned, `DomainTLS["example.net"]`},
		"the transport":             {Connector{Transport: SMTP(&smtpclient.Transport{TLS: dane})}, unsigned, "Transport.TLS"},
		"the connector's Resolver":  {Connector{TLS: &dane, Resolver: unsigned}, trusting, "net.Resolver"},
		"TrustAD":                   {Connector{TLS: &dane}, trusting, ""},
		"another Resolver":          {Connector{TLS: &dane}, unknown, ""},
		"TrustAD for the connector": {Connector{TLS: &dane, Resolver: trusting}, unsigned, ""},
		"opportunistic":             {Connector{TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSOpportunistic}}, unsigned, ""},
		"no policy":                 {Connector{}, unsigned, ""},
		"TLS of the connector first": {Connector{TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSEncrypt},
			Transport: SMTP(&smtpclient.Transport{TLS: dane})}, unsigned, ""},
	} {
		c.c.Name, c.c.Spaces = "x", []string{"*"}
		r := &Router{Table: table(t, c.c), Resolver: c.resolver}
		checkError(t, name, r.Check(), c.want)
		r.Close()
	}
	r := &Router{Table: table(t, Connector{Name: "x", Spaces: []string{"*"}}), Resolver: unsigned,
		NewTransport: func(string) *smtpclient.Transport { return &smtpclient.Transport{TLS: dane} }}
	checkError(t, "NewTransport", r.Check(), `connector "x": Transport.TLS`)
	r.Close()

	f := &Fetcher{Provider: SmartHost{Host: "mx.example.net"}, Method: FetchETRN, Domains: []string{"example.com"},
		Transport: &smtpclient.Transport{TLS: dane}, Resolver: unsigned}
	checkError(t, "Fetcher", f.Fetch(t.Context()), "the level dane needs answers")
}

// StrictMX needs the names of aliases, which a net.Resolver does not report.
func TestStrictMXNeedsAliases(t *testing.T) {
	for resolver, want := range map[Resolver]string{&NetResolver{}: "Router.StrictMX cannot be used with a NetResolver", &DNSResolver{}: ""} {
		r := &Router{Table: table(t, Connector{Name: "x", Spaces: []string{"*"}}), Resolver: resolver, StrictMX: true}
		checkError(t, "StrictMX", r.Check(), want)
	}
}

// The queue does not start. A table that is replaced at run time is reported in
// the log.
func TestDANEIsCheckedAtStart(t *testing.T) {
	dane := Connector{Name: "x", Spaces: []string{"*"}, TLS: &smtpclient.TLSPolicy{Level: smtpclient.TLSDANE}}
	var log bytes.Buffer
	r := &Router{Table: table(t, dane), Resolver: &NetResolver{}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	defer r.Close()
	q := &queue.Queue{Store: new(memory.Store), Deliverer: r, Hostname: "relay.test"}
	checkError(t, "Run", q.Run(t.Context()), `queue: Queue.Deliverer: routing: connector "x": TLS: the level dane needs`)
	r.SetTable(table(t, dane))
	if !strings.Contains(log.String(), "the level dane needs answers") {
		t.Errorf("the log is %s", log.String())
	}
}

func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}
