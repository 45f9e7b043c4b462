package routing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// A query of the conformance test. All Resolvers give the same result, except
// where a net.Resolver cannot (see NetResolver).
type conformance struct {
	name    string
	t       RecordType
	want    string     // the answer, see show
	problem DNSProblem // if want is empty
	net     string     // the answer or Problem of a NetResolver, if it differs
}

var conformanceZone = `
	example.net.              MX    10 mx1.example.net.
	example.net.              MX    20 mx2.example.net.
	example.net.              TXT   "v=spf1 " "mx " "-all"
	example.net.              TXT   "quote\" back\\slash \195\169; end"
	mx1.example.net.          A     192.0.2.1
	mx1.example.net.          AAAA  2001:db8::1
	mx2.example.net.          A     192.0.2.2
	null.example.             MX    0 .
	text.example.             TXT   "text"
	below.empty.example.      A     192.0.2.3
	alias.example.            CNAME second.example.
	second.example.           CNAME mx1.example.net.
	nowhere-alias.example.    CNAME gone.example.
	text-alias.example.       CNAME text.example.
	loop.example.             CNAME loop.example.
	xn--bcher-kva.example.    MX    10 mx.xn--bcher-kva.example.
	under_score.example.      A     192.0.2.4
	a\@b\ c.example.          A     192.0.2.5
	strong+bad=x:y/z.example. A     192.0.2.6
	\195\169.example.         TXT   "octets"
	quote\"\\.example.        TXT   "escapes"
	1.2.0.192.in-addr.arpa.   PTR   mx1.example.net.
	1.2.0.192.in-addr.arpa.   PTR   mail.example.net.
	1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx1.example.net.
	2.2.0.192.in-addr.arpa.   PTR   MX2.Example.NET.
	signed.example.           MX    10 mx.signed.example.
	mx.signed.example.        A     192.0.2.7
	_25._tcp.mx.signed.example. TLSA 3 1 1 0C72AC70B745AC19998811B131D662C9AC69DBDBE7CB23E5B514B56664C5D3D6
	dots.example.             MX    10 two\.labels.example.
	empty-text.example.       TXT   ""
	huge.example.             TXT   ` + strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 200) + `
	*.wild.example.           A     192.0.2.8
` + manyRecords(300)

func manyRecords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "many.example. A 10.0.%d.%d\nmany.example. MX %d mx%d.many.example.\n", i/256, i%256, i, i)
	}
	return b.String()
}

var conformanceQueries = []conformance{
	{name: "example.net", t: TypeMX, want: "example.net: 10 mx1.example.net, 20 mx2.example.net"},
	{name: "Example.NET", t: TypeMX, want: "example.net: 10 mx1.example.net, 20 mx2.example.net"},
	{name: "example.net.", t: TypeMX, want: "example.net: 10 mx1.example.net, 20 mx2.example.net"},
	{name: "example.net", t: TypeTXT, want: `example.net: "quote\" back\\slash é; end", "v=spf1 mx -all"`},
	{name: "mx1.example.net", t: TypeA, want: "mx1.example.net: 192.0.2.1"},
	{name: "mx1.example.net", t: TypeAAAA, want: "mx1.example.net: 2001:db8::1"},
	{name: "null.example", t: TypeMX, want: "null.example: 0 ."},
	{name: "empty-text.example", t: TypeTXT, want: `empty-text.example: ""`},
	{name: "a.b.wild.example", t: TypeA, want: "a.b.wild.example: 192.0.2.8"},
	{name: "xn--bcher-kva.example", t: TypeMX, want: "xn--bcher-kva.example: 10 mx.xn--bcher-kva.example"},
	{name: "under_score.example", t: TypeA, want: "under_score.example: 192.0.2.4"},

	// No such name, no such record.
	{name: "gone.example", t: TypeMX, problem: NoSuchName, net: "NotFound"},
	{name: "gone.example", t: TypeTXT, problem: NoSuchName, net: "NotFound"},
	{name: "gone.example", t: TypeA, problem: NoSuchName, net: "NotFound"},
	{name: "text.example", t: TypeMX, problem: NoRecord, net: "NotFound"},
	{name: "text.example", t: TypeA, problem: NoRecord, net: "NotFound"},
	{name: "mx2.example.net", t: TypeAAAA, problem: NoRecord, net: "NotFound"},
	{name: "empty.example", t: TypeA, problem: NoRecord, net: "NotFound"},
	{name: "9.2.0.192.in-addr.arpa", t: TypePTR, problem: NoSuchName, net: "NotFound"},
	{name: "two..dots", t: TypeTXT, problem: BadName, net: "NotFound"},
	{name: "", t: TypeMX, problem: BadName, net: "NotFound"},
	{name: strings.Repeat("a", 64) + ".example", t: TypeA, problem: BadName, net: "NotFound"},
	{name: strings.Repeat("a.", 130) + "example", t: TypeMX, problem: BadName, net: "NotFound"},

	// Aliases.
	{name: "alias.example", t: TypeA, want: "mx1.example.net: 192.0.2.1", net: "alias.example: 192.0.2.1"},
	{name: "text-alias.example", t: TypeTXT, want: `text.example: "text"`, net: `text-alias.example: "text"`},
	{name: "alias.example", t: TypeCNAME, want: "alias.example: second.example", net: "Failure"},
	{name: "nowhere-alias.example", t: TypeA, problem: NoSuchName, net: "NotFound"},
	{name: "text-alias.example", t: TypeA, problem: NoRecord, net: "NotFound"},
	{name: "loop.example", t: TypeA, problem: AliasLoop, net: "NotFound"},

	// Names of addresses.
	{name: "1.2.0.192.in-addr.arpa", t: TypePTR, want: "1.2.0.192.in-addr.arpa: mail.example.net, mx1.example.net"},
	{name: "2.2.0.192.in-addr.arpa", t: TypePTR, want: "2.2.0.192.in-addr.arpa: MX2.Example.NET"},
	{name: "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", t: TypePTR,
		want: "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa: mx1.example.net"},

	// Octets that host names do not have.
	{name: "a@b c.example", t: TypeA, want: "a@b c.example: 192.0.2.5", net: "NotFound"},
	{name: "strong+bad=x:y/z.example", t: TypeA, want: "strong+bad=x:y/z.example: 192.0.2.6", net: "NotFound"},
	{name: "\xc3\xa9.example", t: TypeTXT, want: "\xc3\xa9.example: \"octets\"", net: "NotFound"},
	{name: `quote"\.example`, t: TypeTXT, want: `quote"\.example: "escapes"`, net: "NotFound"},
	{name: "dots.example", t: TypeMX, want: `dots.example: 10 two\.labels.example`, net: "Failure"},

	// DNSSEC.
	{name: "signed.example", t: TypeMX, want: "signed.example: 10 mx.signed.example, secure", net: "signed.example: 10 mx.signed.example"},
	{name: "_25._tcp.mx.signed.example", t: TypeTLSA, net: "Failure",
		want: "_25._tcp.mx.signed.example: 3 1 1 0c72ac70b745ac19998811b131d662c9ac69dbdbe7cb23e5b514b56664c5d3d6, secure"},
	{name: "no.signed.example", t: TypeTLSA, problem: NoSuchName, net: "Failure"},

	// Faults.
	{name: "servfail.example", t: TypeMX, problem: DNSFailure},
	{name: "servfail.example", t: TypeTXT, problem: DNSFailure},
	{name: "servfail.example", t: TypeA, problem: DNSFailure},
	{name: "refused.example", t: TypeMX, problem: DNSFailure},
	{name: "bogus.signed.example", t: TypeMX, problem: DNSFailure},
	{name: "silent.example", t: TypeMX, problem: DNSUnavailable},
	{name: "silent.example", t: TypeA, problem: DNSUnavailable},
	{name: "192.0.2.1", t: TypeA, problem: NoSuchName, net: "NotFound"}, // a name, not an address
	{name: "example.net", t: 257, problem: DNSFailure},
}

// All Resolvers fulfill the contract of Resolver, and give the same answers.
func TestResolversAgree(t *testing.T) {
	s := dnstest.New(t, conformanceZone)
	s.Secure("signed.example")
	s.Fault("servfail.example", "", dnstest.Fault{Rcode: dnstest.ServFail})
	s.Fault("refused.example", "", dnstest.Fault{Rcode: dnstest.Refused})
	s.Fault("bogus.signed.example", "", dnstest.Fault{Rcode: dnstest.ServFail}) // as from a validating server
	s.Fault("silent.example", "", dnstest.Fault{Drop: true})
	for name, r := range map[string]Resolver{
		"DNSResolver":    &DNSResolver{Servers: []string{s.Addr}, TrustAD: true},
		"NetResolver":    netResolver(t, s),
		"dnstest.Server": s,
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range conformanceQueries {
				c.check(t, r)
			}
		})
	}
}

// netResolver returns a NetResolver that queries only s. When the test ends, it
// closes the connections, because a net.Resolver continues to wait for an answer
// after its caller has left.
func netResolver(t *testing.T, s *dnstest.Server) *NetResolver {
	running, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	return &NetResolver{Resolver: &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(running, network, s.Addr)
		if err == nil {
			context.AfterFunc(running, func() { c.Close() })
		}
		return c, err
	}}}
}

func (c *conformance) check(t *testing.T, r Resolver) {
	t.Helper()
	want := c.want
	if want == "" {
		want = problemNames[c.problem]
	}
	if _, is := r.(*NetResolver); is && c.net != "" {
		want = c.net
	}
	ctx := t.Context()
	if c.problem == DNSUnavailable && c.want == "" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond) // there will be no answer
		defer cancel()
	}
	a, err := r.Lookup(ctx, c.name, c.t)
	if (a == nil) == (err == nil) || a != nil && !a.Has(c.t) {
		t.Errorf("%.80q %v: the answer is %+v, and the error %v", c.name, c.t, a, err)
		return
	}
	if got := answerText(a, err); got != want {
		t.Errorf("%.80q %v: %.200s (%v), want %s", c.name, c.t, got, err, want)
	}
	if a != nil && !a.Expires.IsZero() && !a.Expires.After(time.Now()) {
		t.Errorf("%.80q %v: expired %v", c.name, c.t, a.Expires)
	}
	var e *LookupError
	if err != nil && (!errors.As(err, &e) || e.Name != strings.TrimSuffix(c.name, ".") || e.Type != c.t || e.Temporary() == resolver.IsNotFound(err)) {
		t.Errorf("%.80q %v: the error is %#v", c.name, c.t, err)
	}
}

var problemNames = map[DNSProblem]string{
	DNSUnavailable: "Unavailable", DNSFailure: "Failure", NoSuchName: "NoSuchName", NoRecord: "NoRecord", NotFound: "NotFound", BadName: "BadName", AliasLoop: "AliasLoop",
}

// answerText returns the owner of the records, the sorted records and "secure", or
// the problem.
func answerText(a *Answer, err error) string {
	var e *LookupError
	if errors.As(err, &e) {
		return problemNames[e.Problem]
	}
	if err != nil {
		return err.Error()
	}
	var records []string
	for _, ip := range a.Addrs {
		records = append(records, ip.String())
	}
	for _, mx := range a.MX {
		records = append(records, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
	}
	for _, text := range a.TXT {
		records = append(records, strconv.Quote(text))
	}
	records = append(records, a.Names...)
	for _, r := range a.TLSA {
		records = append(records, fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data))
	}
	slices.Sort(records)
	if a.Secure {
		records = append(records, "secure")
	}
	return strings.ToLower(a.Name) + ": " + strings.Join(records, ", ")
}

// Long answers are complete: they are repeated over TCP.
func TestResolversAgreeOnLongAnswers(t *testing.T) {
	s := dnstest.New(t, conformanceZone)
	for name, r := range map[string]Resolver{
		"DNSResolver":    &DNSResolver{Servers: []string{s.Addr}},
		"NetResolver":    netResolver(t, s),
		"dnstest.Server": s,
	} {
		if texts, err := resolver.TXTs(t.Context(), r, "huge.example"); err != nil || len(texts) != 1 || texts[0] != strings.Repeat("x", 50000) {
			t.Errorf("%s: %d texts, %v", name, len(texts), err)
		}
		if mxs, err := resolver.MXs(t.Context(), r, "many.example"); err != nil || len(mxs) != 300 {
			t.Errorf("%s: %d MX, %v", name, len(mxs), err)
		}
		if ips, err := resolver.Addrs(t.Context(), r, "many.example", TypeA); err != nil || len(ips) != 300 {
			t.Errorf("%s: %d addresses, %v", name, len(ips), err)
		}
	}
}
