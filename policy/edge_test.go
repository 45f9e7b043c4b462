package policy_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// inbox stores the submitted messages.
type inbox chan string

func (in inbox) Submit(_ context.Context, m *queue.Message) error {
	var b strings.Builder
	if _, err := m.Content.WriteTo(&b); err != nil {
		return err
	}
	in <- b.String()
	return nil
}

// edge is an edge gateway with all policies of the Gate that need no other
// program.
func edge(d *dnstest.Server, out inbox) *policy.Gate {
	resolver := &policy.NetResolver{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.Addr)
	}}}
	return &policy.Gate{
		Domains:      []policy.Domain{{Name: "example.com", Directory: policy.Recipients("alice")}},
		Networks:     []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		Resolver:     resolver,
		Connection:   &policy.ConnectionFilter{BlockLists: []policy.DNSList{{Zone: "list.example"}}},
		SenderDomain: new(policy.SenderDomain),
		Spoofing: &policy.Spoofing{Trusted: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) bool {
			v := dmarc.VerdictOf(s)
			return v != nil && v.Result == dmarc.Pass
		}},
		MailAuth: []smtpserver.Agent{
			(&spf.Checker{Resolver: resolver}).Agent(),
			(&dkim.Verifier{Resolver: resolver}).Agent(),
			(&dmarc.Checker{Resolver: resolver, Enforce: true, DeferTempError: true}).Agent(),
		},
		Inbound: []smtpserver.Agent{
			(&authres.Stamper{ID: "relay.example.com"}).Agent(),
			new(firewall.Inbound).Agent(),
		},
		Content: []smtpserver.Agent{(&content.Attachments{}).Agent()},
		Queue:   out,
	}
}

// The complete edge gateway refuses spoofed and forged mail.
func TestEdge(t *testing.T) {
	d := dnstest.New(t, `
		example.net.           MX   10 mx.example.net.
		example.net.           TXT  "v=spf1 ip4:203.0.113.7 -all"
		_dmarc.example.net.    TXT  "v=DMARC1; p=reject"
		example.com.           MX   10 relay.example.com.
		example.com.           TXT  "v=spf1 ip4:203.0.113.8 -all"
		_dmarc.example.com.    TXT  "v=DMARC1; p=reject"
		other.example.         MX   10 mx.other.example.
		9.113.0.203.list.example. A 127.0.0.2
	`)
	out := make(inbox, 10)
	srv := &smtpserver.Server{Hostname: "relay.example.com"}
	if err := edge(d, out).Install(srv); err != nil {
		t.Fatal(err)
	}
	served := policytest.New(t, srv)
	send := func(from, header, reply string) string {
		return "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\n" +
			"C: " + strings.ReplaceAll(header, "\n", "\nC: ") + "\nC:\nC: body\nC: .\nS: " + reply
	}
	for _, tt := range []struct{ name, client, script string }{
		{"honest", "203.0.113.7", send("x@example.net", "From: x@example.net", "250")},
		{"from a host that SPF does not allow", "203.0.113.6", send("x@example.net", "From: x@example.net", "550 5.7.1")},
		{"own envelope, From of another domain", "203.0.113.6", send("x@other.example", "From: x@example.net", "550 5.7.1")},
		{"accepted domain in From", "203.0.113.6", send("x@other.example", "From: alice@example.com", "550 5.7.1")},
		{"accepted domain in one of two From fields", "203.0.113.7", send("x@example.net", "From: x@example.net\nFrom: alice@example.com", "550 5.7.1")},
		{"accepted domain in the envelope", "203.0.113.6", "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<alice@example.com>\nS: 550 5.7.1"},
		{"a listed client", "203.0.113.9", "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 550 5.7.1 203.0.113.9 is listed"},
		{"forged verdicts", "203.0.113.7", send("x@example.net", "From: x@example.net\nAuthentication-Results: relay.example.com; dmarc=pass header.from=bank.example\nX-MS-Exchange-Organization-SCL: -1", "250")},
	} {
		t.Run(tt.name, func(t *testing.T) { served.Talk(t, tt.client, tt.script) })
	}
	close(out)
	for text := range out {
		header, _, _ := strings.Cut(text, "\r\n\r\n")
		if strings.Contains(header, "bank.example") || strings.Contains(header, "X-MS-Exchange-Organization-SCL: -1") {
			t.Errorf("a forged field remains:\n%s", header)
		}
		if !strings.HasPrefix(header, "Received: from client.example ([203.0.113.7])") || !strings.Contains(header, "dmarc=pass") {
			t.Errorf("the fields of the message are wrong:\n%s", header)
		}
	}
}

// If the DNS is down, mail of unknown clients is deferred. It is neither
// refused permanently nor accepted without a check.
func TestEdgeWithoutDNS(t *testing.T) {
	d := dnstest.New(t)
	for _, name := range []string{"example.net", "_dmarc.example.net", "1.2.0.192.list.example"} {
		d.Fault(name, "", dnstest.Fault{Rcode: 2})
	}
	out := make(inbox, 10)
	srv := &smtpserver.Server{Hostname: "relay.example.com"}
	if err := edge(d, out).Install(srv); err != nil {
		t.Fatal(err)
	}
	served := policytest.New(t, srv)
	served.Talk(t, "192.0.2.1", "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 451 4.4.3")
	served.Talk(t, "192.0.2.1", "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 451 4.4.3")
	served.Talk(t, "10.1.2.3", "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<printer@example.com>\nS: 250\nC: RCPT TO:<x@example.net>\nS: 250")
}

// The complete gateway passes all probes of the open relay test.
func TestEdgeIsNotAnOpenRelay(t *testing.T) {
	d := dnstest.New(t, "stranger.invalid. MX 10 mx.stranger.invalid.\nexample.com. MX 10 relay.example.com.")
	srv := &smtpserver.Server{Hostname: "relay.example.com", Limits: smtpserver.Limits{Tarpit: -1}}
	if err := edge(d, make(inbox, 10)).Install(srv); err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, srv), "example.com")
}
