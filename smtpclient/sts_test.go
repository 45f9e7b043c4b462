package smtpclient

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// web replies to every request with a policy, or "not found" if it is empty.
type web string

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	code := 200
	if w == "" {
		code = 404
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(string(w))), Request: r}, nil
}

func (w web) cache() *mtasts.Cache {
	return &mtasts.Cache{
		Resolver: resolver.Func(func(context.Context, string, resolver.Type) (*resolver.Answer, error) {
			return &resolver.Answer{TXT: []string{"v=STSv1; id=1"}}, nil
		}),
		Client: &http.Client{Transport: w},
	}
}

// MTA-STS raises opportunistic TLS, DANE takes precedence over it, and every
// negotiation is reported as RFC 8460 requires.
func TestMTASTS(t *testing.T) {
	const enforce, testing_ = "enforce", "testing"
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "stranger")
	good := ca.issue(nil, "mx1.example.net")
	sum := sha256.Sum256(good.Leaf.Raw)
	ee := &dane.Answer{Records: []dane.Record{{Usage: 3, Selector: 0, Matching: 1, Data: sum[:]}}}
	no := &dane.Answer{Records: []dane.Record{{Usage: 3, Selector: 0, Matching: 1, Data: make([]byte, 32)}}}
	useless := &dane.Answer{Records: []dane.Record{{Usage: dane.PKIXEE, Selector: 0, Matching: 1, Data: sum[:]}}}
	for _, tt := range []struct {
		name   string
		mode   string
		mx     string
		level  TLSLevel
		dane   *dane.Answer
		cert   tls.Certificate
		script []string
		want   string // empty: success
		report string // policy type and result
	}{
		{name: "enforce, good", mode: enforce, cert: good, script: []string{offer + upgraded}, report: "sts "},
		{name: "enforce, stranger", mode: enforce, cert: stranger.issue(nil, "mx1.example.net"), script: []string{offer}, report: "sts certificate-not-trusted",
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: TLS policy mta-sts for mx1.example.net: x509: certificate signed by unknown authority..."},
		{name: "enforce, wrong name", mode: enforce, cert: ca.issue(nil, "wrong.example"), script: []string{offer}, report: "sts certificate-host-mismatch", want: "unreachable 451 4.7.5 ..."},
		{name: "enforce, expired", mode: enforce, cert: ca.issue(expired, "mx1.example.net"), script: []string{offer}, report: "sts certificate-expired", want: "unreachable 451 4.7.5 ..."},
		{name: "enforce, no STARTTLS", mode: enforce, script: []string{noOffer + quit}, report: "sts starttls-not-supported", want: "unreachable 451 4.7.4 ..."},
		{name: "enforce, not listed", mode: enforce, mx: "mx9.example.net", report: "sts validation-failure",
			want: `unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS policy mta-sts for mx1.example.net: the host is not listed in the MTA-STS policy of example.net, which lists ["mx9.example.net"]`},
		{name: "testing, stranger", mode: testing_, cert: stranger.issue(nil, "mx1.example.net"), script: []string{offer + upgraded}, report: "sts certificate-not-trusted"},
		{name: "testing, not listed", mode: testing_, mx: "mx9.example.net", cert: good, script: []string{offer + upgraded}, report: "sts validation-failure"},
		{name: "testing, no STARTTLS", mode: testing_, script: []string{noOffer + stepwise + quit}, report: "sts starttls-not-supported"},
		{name: "policy cannot be fetched", cert: stranger.issue(nil, "mx1.example.net"), script: []string{offer + upgraded}, report: "sts sts-policy-fetch-error\nno-policy-found "},
		{name: "DANE instead", mode: enforce, mx: "mx9.example.net", dane: ee, cert: good, script: []string{offer + upgraded}, report: "tlsa "},
		{name: "DANE fails, MTA-STS does not help", mode: enforce, dane: no, cert: good, script: []string{offer}, report: "tlsa validation-failure", want: "unreachable 451 4.7.5 ..."},
		{name: "DANE is unusable, MTA-STS counts", mode: enforce, dane: useless, cert: stranger.issue(nil, "mx1.example.net"), script: []string{offer}, report: "sts certificate-not-trusted", want: "unreachable 451 4.7.5 ..."},
		{name: "DANE lookup fails", mode: enforce, dane: &dane.Answer{Err: errors.New("bogus")}, report: "tlsa dnssec-invalid", want: "unreachable 451 4.7.5 ..."},
		{name: "the operator's level is not raised", mode: enforce, level: TLSCertificate, cert: ca.issue(nil, "wrong.example"), script: []string{offer + upgraded}, report: "no-policy-found "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.tls = server(tt.cert)
			n.host("192.0.2.1:25", tt.script...)
			tr := n.transport()
			tr.TLS.Level, tr.TLSConfig = tt.level, ca.roots()
			var policy web
			if tt.mode != "" {
				policy = web("version: STSv1\nmode: " + tt.mode + "\nmx: " + or(tt.mx, "*.example.net") + "\nmax_age: 86400\n")
			}
			tr.MTASTS = policy.cache()
			var reports []string
			tr.TLSReport = func(s tlsrpt.Session) {
				if s.Domain != "example.net" || s.Result != "" && s.Info == "" {
					t.Errorf("%+v", s)
				}
				reports = append(reports, s.Policy.Type+" "+s.Result)
			}
			dst := to("192.0.2.1:25")
			dst.Domain = "example.net"
			hosts, _ := dst.Hosts(t.Context())
			hosts[0].DANE = tt.dane
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), or(tt.want, queued))
			if got := strings.Join(reports, "\n"); got != tt.report {
				t.Errorf("reported %q, want %q", got, tt.report)
			}
		})
	}
}

// If the first host does not offer REQUIRETLS, the next one is tried.
func TestRequireTLSNextHost(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net", "mx2.example.net"))
	n.host("192.0.2.1:25", noOffer+quit)
	n.host("192.0.2.2:25", offer+strings.Replace(upgraded, "S: 250 PIPELINING", "S: 250-PIPELINING\nS: 250 REQUIRETLS", 1))
	n.scripts["192.0.2.2:25"][0] = strings.Replace(n.scripts["192.0.2.2:25"][0], "C: MAIL FROM:<a@example.com>", "C: MAIL FROM:<a@example.com> REQUIRETLS", 1)
	tr := n.transport()
	tr.TLSConfig = ca.roots()
	m := mail("x\r\n", "b@example.net")
	m.Options.RequireTLS = true
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25", "192.0.2.2:25"), m), "success 250 2.0.0 queued [mx2.example.net]")
}

// A message with REQUIRETLS is sent only to a host that offers it and has proved
// its name: by DANE, by MTA-STS, or as a smart host by its configured name.
func TestRequireTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	const required = `
		C: EHLO relay.example
		S: 250-mx
		S: 250-PIPELINING
		S: 250 REQUIRETLS
		C: MAIL FROM:<a@example.com> REQUIRETLS
		C: RCPT TO:<b@example.net>
		C: DATA
		S: 250 ok
		S: 250 ok
		S: 354 go ahead
		C: <content>
		S: 250 2.0.0 queued` + quit
	const refused = "\nC: EHLO relay.example\nS: 250-mx\nS: 250 REQUIRETLS" + quit
	const no = "failure 550 5.7.30 REQUIRETLS support required: mx1.example.net does not offer it, or its certificate does not prove its name"
	for _, tt := range []struct {
		name, domain, cert string
		sts                bool
		script, want       string
		policy             TLSPolicy
	}{
		{"smart host", "", "mx1.example.net", false, required, queued, TLSPolicy{}},
		{"smart host, wrong certificate", "", "wrong.example", false, refused, no, TLSPolicy{}},
		{"MX of an unsigned domain", "example.net", "mx1.example.net", false, refused, no, TLSPolicy{}},
		{"MX under MTA-STS", "example.net", "mx1.example.net", true, required, queued, TLSPolicy{}},
		{"host without REQUIRETLS", "", "mx1.example.net", false, "\nC: EHLO relay.example\nS: 250 mx" + quit, no, TLSPolicy{}},
		{"any trusted certificate is not enough", "", "wrong.example", false, refused, no, TLSPolicy{Level: TLSCertificate}},
		{"any trusted certificate, and it is the right one", "", "mx1.example.net", false, required, queued, TLSPolicy{Level: TLSCertificate}},
		{"validated name of an MX of an unsigned domain", "example.net", "mx1.example.net", false, refused, no, TLSPolicy{Level: TLSDomain}},
		{"validated name that the operator gave", "example.net", "mail.example", false, required, queued, TLSPolicy{Level: TLSDomain, Domain: "mail.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.tls = server(ca.issue(nil, tt.cert))
			n.host("192.0.2.1:25", offer+tt.script)
			tr := n.transport()
			tr.TLSConfig, tr.TLS = ca.roots(), tt.policy
			if tt.sts {
				tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 86400\n").cache()
			}
			dst := to("192.0.2.1:25")
			dst.Domain = tt.domain
			m := mail("x\r\n", "b@example.net")
			m.Options.RequireTLS = true
			expect(t, tr.Send(t.Context(), dst, m), tt.want)
		})
	}
}
