package routing

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// web serves one MTA-STS policy for all domains.
type web string

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(string(w))), Request: r}, nil
}

// stsRouter returns a Router whose transports look up MTA-STS policies and
// find w.
func stsRouter(t *testing.T, s *dnstest.Server, w web, report func(tlsrpt.Session), connectors ...Connector) *Router {
	t.Helper()
	resolver := &DNSResolver{Servers: []string{s.Addr}, TrustAD: true}
	cache := &mtasts.Cache{Client: &http.Client{Transport: w}, Resolver: resolver}
	r := &Router{Hostname: "relay.test", Table: table(t, connectors...), Resolver: resolver,
		NewTransport: func(name string) *smtpclient.Transport {
			return &smtpclient.Transport{Name: name, Hostname: "relay.test", MTASTS: cache, TLSReport: report}
		}}
	t.Cleanup(func() { r.Close() })
	return r
}

// A policy that one domain publishes does not change the host order of another
// domain with the same hosts.
func TestPolicyOfOneDomainLeavesAnothersHosts(t *testing.T) {
	cert, _ := selfSigned(t, "mx.good.example")
	_, other := selfSigned(t, "mx.evil.example")
	primary, port := tlsHost(t, cert)
	s := dnstest.New(t, `
		good.example.        MX 10 mx.good.example.
		good.example.        MX 20 backup.good.example.
		mx.good.example.     A 127.0.0.1
		backup.good.example. A 127.0.0.2
		evil.example.        MX 10 mx.evil.example.
		mx.evil.example.     A 127.0.0.1
		_`+fmt.Sprint(port)+`._tcp.mx.evil.example. TLSA `+other)
	s.Secure("evil.example")
	r := stsRouter(t, s, "", nil, Connector{Name: "internet", Spaces: []string{"*"}, Port: port})
	got := send(t, r, "a@evil.example", "b@good.example")
	if got[0].Outcome != queue.Unreachable || got[1].Outcome != queue.Success || got[1].Host != "mx.good.example" {
		t.Errorf("%+v", got)
	}
	if rcpts := primary.received(); rcpts != "b@good.example" {
		t.Errorf("the first host received %s", rcpts)
	}
}

// The policy domain of a smart host is its name, also for its MX hosts (RFC
// 8461, 3.4). A literal has no policy domain.
func TestPolicyDomainOfSmartHosts(t *testing.T) {
	cert, _ := selfSigned(t, "provider.example") // not trusted
	_, port := tlsHost(t, cert)
	s := dnstest.New(t, `
		provider.example.          A 127.0.0.1
		_mta-sts.provider.example. TXT "v=STSv1; id=1"
		mail.example.              MX 10 provider.example.
		_mta-sts.mail.example.     TXT "v=STSv1; id=1"
		careless.example.          A 127.0.0.1`)
	for _, c := range []struct {
		host   SmartHost
		tls    *smtpclient.TLSPolicy
		policy string // that is not met; empty: the mail goes
	}{
		{SmartHost{Host: "provider.example"}, nil, "mta-sts"},
		{SmartHost{Host: "mail.example", MX: true}, nil, "mta-sts"},
		{SmartHost{Host: "careless.example"}, nil, ""},
		{SmartHost{Host: "[127.0.0.1]"}, nil, ""},
		{SmartHost{Host: "provider.example"}, &smtpclient.TLSPolicy{Level: smtpclient.TLSNone}, ""},
		{SmartHost{Host: "provider.example"}, &smtpclient.TLSPolicy{IgnorePublished: true}, ""},
		{SmartHost{Host: "provider.example"}, &smtpclient.TLSPolicy{Level: smtpclient.TLSDomain}, "domain"},
	} {
		what := c.host.Host
		c.host.Host = fmt.Sprintf("%s:%d", c.host.Host, port)
		r := stsRouter(t, s, "version: STSv1\nmode: enforce\nmx: provider.example\nmax_age: 86400\n", nil,
			Connector{Name: "out", Spaces: []string{"*"}, SmartHosts: []SmartHost{c.host}, TLS: c.tls})
		got := send(t, r, "bob@d.example")[0]
		var e *smtpclient.TLSError
		if c.policy == "" && got.Outcome != queue.Success || c.policy != "" && (!errors.As(got.Err, &e) || e.Policy != c.policy) {
			t.Errorf("%s, %+v: %+v, want %q", what, c.tls, got, c.policy)
		}
	}
}

// The report about a domain whose TLS fails is delivered nevertheless, and its
// session is not reported again (RFC 8460, 3).
func TestReportAboutBrokenTLSArrives(t *testing.T) {
	_, other := selfSigned(t, "mx.dane.example")
	for _, c := range []struct {
		domain string
		tls    bool // offered, with a certificate that meets no policy
	}{{"sts.example", false}, {"sts.example", true}, {"dane.example", false}, {"dane.example", true}, {"ill.example", true}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			var certs []tls.Certificate
			if c.tls {
				cert, _ := selfSigned(t, "mx")
				certs = append(certs, cert)
			}
			h, port := tlsHost(t, certs...)
			s := dnstest.New(t, fmt.Sprintf(`
				sts.example.          MX 10 mx.sts.example.
				mx.sts.example.       A 127.0.0.1
				_mta-sts.sts.example. TXT "v=STSv1; id=1"
				dane.example.         MX 10 mx.dane.example.
				mx.dane.example.      A 127.0.0.1
				_%[1]d._tcp.mx.dane.example. TLSA %[2]s
				ill.example.          MX 10 mx.ill.example.
				mx.ill.example.       A 127.0.0.1`, port, other))
			s.Secure("dane.example", "ill.example")
			s.Fault(fmt.Sprintf("_%d._tcp.mx.ill.example", port), "TLSA", dnstest.Fault{Rcode: 2})
			collector := &tlsrpt.Collector{Organization: "Example", Contact: "postmaster@example.com"}
			r := stsRouter(t, s, "version: STSv1\nmode: enforce\nmx: mx.sts.example\nmax_age: 86400\n", collector.Record,
				Connector{Name: "internet", Spaces: []string{"*"}, Port: port})
			if got := send(t, r, "bob@"+c.domain)[0]; got.Outcome != queue.Unreachable {
				t.Fatalf("the policy is not enforced: %+v", got)
			}
			reports := collector.Take(time.Now())
			if len(reports) != 1 || reports[0].Domain != c.domain {
				t.Fatalf("%d reports", len(reports))
			}
			text, err := reports[0].Message("tlsrpt@example.com", "reports@"+c.domain, "example.com")
			if err != nil {
				t.Fatal(err)
			}
			m := &queue.Message{ID: "report", From: "tlsrpt@example.com", Content: queue.Bytes(text)}
			rcpt := queue.Rcpt("reports@" + c.domain)
			hop, err := r.Route(t.Context(), m, rcpt[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Deliver(t.Context(), hop, m, rcpt)[0]; got.Outcome != queue.Success {
				t.Errorf("the report is not delivered: %+v", got)
			}
			if got := h.received(); got != "reports@"+c.domain {
				t.Errorf("received %s", got)
			}
			for _, again := range collector.Take(time.Now()) {
				t.Errorf("a report about the report: %+v", again.Policies[0])
			}
			if got := send(t, r, "bob@"+c.domain)[0]; got.Outcome != queue.Unreachable {
				t.Errorf("after the report the policy is not enforced: %+v", got)
			}
		})
	}
}
