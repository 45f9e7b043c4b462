package routing

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Mail of an exclusive connector waits while its hosts are down. The connector
// for "*" does not get it; only the Fallback does.
func TestExclusiveConnectorsHaveNoAlternative(t *testing.T) {
	down := always(queue.Unreachable)
	partner, spare, world := &postman{name: "partner", outcome: down}, &postman{name: "spare"}, &postman{name: "world"}
	base := Connector{Name: "partner", Spaces: []string{"*.mil"}, Exclusive: true, Transport: partner}
	internet := Connector{Name: "world", Spaces: []string{"*"}, Transport: world}

	r := &Router{Table: table(t, base, internet)}
	for range 2 { // before and after it is known to be down
		if got := outcomes(send(t, r, "a@army.mil")); got != "3:partner" {
			t.Errorf("%s", got)
		}
	}
	disabled := base
	disabled.Disabled = true
	r = &Router{Table: table(t, disabled, internet)}
	if _, err := r.Route(t.Context(), &queue.Message{}, &queue.Recipient{Addr: "a@army.mil"}); replyText(err) != "451 4.4.4 No connector for army.mil now: disabled" {
		t.Errorf("disabled: %v", err)
	}
	withSpare := base
	withSpare.Fallback = "spare"
	r = &Router{Table: table(t, withSpare, internet, Connector{Name: "spare", Transport: spare})}
	if got := outcomes(send(t, r, "a@army.mil")); got != "1:spare" {
		t.Errorf("with a fallback: %s", got)
	}
	if len(world.recipients) > 0 {
		t.Errorf("the world got %v", world.recipients)
	}
}

// If the server of one of Site.Domains is down, its mail is not sent to the
// smart host of the connector for "*". It can be sent to another server of the
// domain.
func TestSiteDomainsAvoidLoopsWhenDown(t *testing.T) {
	down := always(queue.Unreachable)
	berlin, hq, upstream := &postman{name: "berlin", outcome: down}, &postman{name: "hq"}, &postman{name: "upstream"}
	tb, err := Site{Domains: []string{"*.example.com"}}.NewTable(
		Connector{Name: "berlin", Spaces: []string{"berlin.example.com"}, Transport: berlin},
		Connector{Name: "hq", Spaces: []string{"*.example.com"}, Transport: hq},
		Connector{Name: "upstream", Spaces: []string{"*"}, Transport: upstream})
	if err != nil {
		t.Fatal(err)
	}
	r := &Router{Table: tb}
	if got := outcomes(send(t, r, "a@berlin.example.com")); got != "1:hq" {
		t.Errorf("%s", got)
	}
	hq.outcome = down
	for range 2 {
		if got := outcomes(send(t, r, "a@berlin.example.com")); got != "3:berlin" {
			t.Errorf("with both down: %s", got)
		}
	}
	if len(upstream.recipients) > 0 {
		t.Errorf("upstream got %v", upstream.recipients)
	}
}

// The same applies if the domain's own connector is disabled or not eligible.
// The mail would come back and be refused as a loop.
func TestSiteDomainsAvoidLoopsWhenNotEligible(t *testing.T) {
	big := queue.String(strings.Repeat("x", 2000))
	for want, c := range map[string]Connector{
		"451 4.4.4": {Disabled: true},
		"552 5.3.4": {MaxMessageSize: 1000},
		"550 5.7.1": {RefuseSenders: []string{"example.net"}},
		"world":     {Scope: Scope{Senders: []string{"example.org"}}}, // whose mail does not see the connector
	} {
		c.Name, c.Spaces, c.SmartHosts = "ours", []string{"example.com"}, SmartHosts("[10.0.0.5]")
		tb, err := Site{Domains: []string{"example.com"}}.NewTable(c,
			Connector{Name: "com", Spaces: []string{"*.com"}},
			Connector{Name: "world", Spaces: []string{"*"}, SmartHosts: SmartHosts("[192.0.2.1]")})
		if err != nil {
			t.Fatal(err)
		}
		m := &queue.Message{From: "a@example.net", Content: big}
		if want == "world" {
			want = "com"
		}
		if got := routed(t, tb, m, "a@example.com"); got != want {
			t.Errorf("%+v: %s, want %s", c.Name, got, want)
		}
		if got := routed(t, tb, m, "a@other.com"); got != "com" {
			t.Errorf("another domain goes by %s", got)
		}
	}
	// A domain without its own connector uses the connector for "*".
	tb, err := Site{Domains: []string{"example.com"}}.NewTable(Connector{Name: "world", Spaces: []string{"*"}, SmartHosts: SmartHosts("[192.0.2.1]")})
	if err != nil {
		t.Fatal(err)
	}
	if got := routed(t, tb, &queue.Message{}, "a@example.com"); got != "world" {
		t.Errorf("with nothing else: %s", got)
	}
}

// A fallback with DirectFirst would bring mail for Site.Domains back to this
// relay.
func TestSiteDomainsHaveNoFallbackByDNS(t *testing.T) {
	for _, c := range []Connector{{}, {DirectFirst: true, SmartHosts: SmartHosts("[192.0.2.1]")}, {SmartHosts: SmartHosts("[192.0.2.1]")}} {
		c.Name = "spare"
		tb, err := Site{Domains: []string{"example.com"}}.NewTable(c,
			Connector{Name: "ours", Spaces: []string{"example.com"}, SmartHosts: SmartHosts("[10.0.0.5]"), Fallback: "spare"})
		if err != nil {
			t.Fatal(err)
		}
		r := &Router{Table: tb}
		hop, err := r.Route(t.Context(), &queue.Message{}, &queue.Recipient{Addr: "a@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		want := len(c.SmartHosts) > 0 && !c.DirectFirst
		if _, found := r.alternative(tb, &queue.Message{}, "a@example.com", []queue.NextHop{hop}); found != want {
			t.Errorf("a fallback with DirectFirst %v, smart hosts %v serves: %v", c.DirectFirst, c.SmartHosts, found)
		}
	}
}

// Mail that only a disabled connector would accept waits for it.
func TestMailWaitsForADisabledConnector(t *testing.T) {
	off := Connector{Name: "off", Spaces: []string{"example.com"}, Disabled: true}
	picky := Connector{Name: "picky", Spaces: []string{"*"}, RefuseSenders: []string{"*"}}
	small := Connector{Name: "small", Spaces: []string{"*"}, MaxMessageSize: 1}
	m := &queue.Message{From: "a@example.net", Content: queue.String("four")}
	for _, other := range []Connector{picky, small} {
		if got := routed(t, table(t, off, other), m, "b@example.com"); got != "451 4.4.4" {
			t.Errorf("beside %s: %s", other.Name, got)
		}
	}
	off.RefuseSenders = []string{"example.net"}
	if got := routed(t, table(t, off, picky), m, "b@example.com"); got != "550 5.7.1" {
		t.Errorf("one that would not have taken it either: %s", got)
	}
}

// An attacker who breaks the TLS of a host must not change the route: not to
// the smart hosts of DirectFirst, and not by making the hop count as down.
func TestNoAlternativeAfterTLSFailure(t *testing.T) {
	spoilt := queue.Result{Outcome: queue.Unreachable, Reply: smtp.SMTPError{Code: 451, Message: "spoilt"},
		Err: &smtpclient.TLSError{Policy: "dane", Host: "mx.example.net", Err: errors.New("no match")}}
	t.Run("DirectFirst", func(t *testing.T) {
		r := &Router{Table: table(t, Connector{Name: "c", Spaces: []string{"*"}, DirectFirst: true, SmartHosts: SmartHosts("[192.0.2.1]")})}
		r.NewTransport = func(string) *smtpclient.Transport {
			return &smtpclient.Transport{TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSDANE}, DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no way")
			}}
		}
		r.Resolver = ResolverFunc(func(_ context.Context, name string, qtype RecordType) (*Answer, error) {
			if qtype == TypeA {
				return &Answer{Name: name, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}, nil
			}
			return nil, dnsError(NoRecord, name, qtype, "")
		})
		got := send(t, r, "a@example.net")[0]
		r.Close()
		if !strings.Contains(got.Reply.Message, "example.net") || strings.Contains(got.Reply.Message, "192.0.2.1:25") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a hop that was down", func(t *testing.T) {
		world := &postman{name: "world", outcome: always(queue.Unreachable)}
		partner := TransportFunc(func(_ context.Context, j *Job) []queue.Result { return sameResults(len(j.Recipients), spoilt) })
		r := &Router{Table: table(t, Connector{Name: "partner", Spaces: []string{"example.net"}, Transport: partner},
			Connector{Name: "world", Spaces: []string{"*"}, Transport: world})}
		hop := queue.NextHop{Connector: "partner", Destination: "partner"}
		r.down.mark(hop, time.Now().Add(time.Hour))
		send(t, r, "a@example.net") // by partner at last, where TLS is spoilt
		if r.down.has(hop) {
			t.Error("the hop counts as down")
		}
	})
	t.Run("another's alternative", func(t *testing.T) {
		down := &postman{name: "down", outcome: always(queue.Unreachable)}
		partner := TransportFunc(func(_ context.Context, j *Job) []queue.Result { return sameResults(len(j.Recipients), spoilt) })
		r := &Router{Table: table(t, Connector{Name: "own", Spaces: []string{"a.example.net"}, Transport: down},
			Connector{Name: "partner", Spaces: []string{"*.example.net"}, Transport: partner})}
		send(t, r, "a@a.example.net")
		if r.down.has(queue.NextHop{Connector: "partner", Destination: "partner"}) {
			t.Error("the hop counts as down")
		}
	})
}
