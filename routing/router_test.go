package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A postman is a Transport that notes what it carried, and answers as told.
type postman struct {
	name    string
	outcome func(rcpt string) queue.Outcome // nil: success
	carried []string
	closed  bool
}

func (p *postman) Deliver(_ context.Context, j *Job) []queue.Result {
	results := make([]queue.Result, len(j.Recipients))
	for i, rcpt := range j.Recipients {
		p.carried = append(p.carried, rcpt.Addr)
		if p.outcome != nil {
			results[i].Outcome = p.outcome(rcpt.Addr)
		} else {
			results[i].Outcome = queue.Success
		}
		results[i].Reply = smtp.SMTPError{Code: 250, Message: p.name}
	}
	return results
}

func (p *postman) Close() error { p.closed = true; return nil }

func always(o queue.Outcome) func(string) queue.Outcome {
	return func(string) queue.Outcome { return o }
}

func recipients(addrs ...string) []*queue.Recipient { return queue.Rcpt(addrs...) }

// told is the outcome and the text of each result.
func told(results []queue.Result) string {
	var parts []string
	for _, r := range results {
		parts = append(parts, fmt.Sprintf("%d:%s", r.Outcome, r.Reply.Message))
	}
	return strings.Join(parts, " ")
}

func TestTheNextConnectorServesWhenTheFirstIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &postman{name: "first", outcome: always(queue.Unreachable)}
		second := &postman{name: "second"}
		var log bytes.Buffer
		r := &Router{Logger: slog.New(slog.NewTextHandler(&log, nil)), Table: table(t,
			Connector{Name: "first", Spaces: []string{"*;1"}, Transport: first},
			Connector{Name: "second", Spaces: []string{"*;2"}, Transport: second},
		)}
		m := &queue.Message{}
		rcpt := recipients("a@example.net")
		hop, err := r.Route(t.Context(), m, rcpt[0])
		if err != nil || hop.Connector != "first" {
			t.Fatalf("%v, %v", hop, err)
		}
		if got := told(r.Deliver(t.Context(), hop, m, rcpt)); got != "1:second" {
			t.Errorf("delivered: %s", got)
		}
		if !strings.Contains(log.String(), "next hop unreachable") {
			t.Errorf("log: %s", log.String())
		}
		// Further mail takes the second way at once, until the first is tried again.
		r.Deliver(t.Context(), hop, m, rcpt)
		if len(first.carried) != 1 || len(second.carried) != 2 {
			t.Errorf("while it is down the first carried %d and the second %d", len(first.carried), len(second.carried))
		}
		time.Sleep(time.Minute)
		first.outcome = nil
		if got := told(r.Deliver(t.Context(), hop, m, rcpt)); got != "1:first" {
			t.Errorf("when it is back: %s", got)
		}
	})
}

func TestWhenAllAreDownTheFirstOnesWordsStand(t *testing.T) {
	down := always(queue.Unreachable)
	a, b := &postman{name: "a", outcome: down}, &postman{name: "b", outcome: down}
	r := &Router{Table: table(t,
		Connector{Name: "a", Spaces: []string{"*"}, Transport: a},
		Connector{Name: "b", Spaces: []string{"*"}, Transport: b},
	)}
	m, rcpt := &queue.Message{}, recipients("x@example.net")
	hop, _ := r.Route(t.Context(), m, rcpt[0])
	if got := told(r.Deliver(t.Context(), hop, m, rcpt)); got != "3:a" {
		t.Errorf("%s", got)
	}
	if len(b.carried) != 1 {
		t.Error("b was not tried")
	}
	// The queue tries again: then the first is asked at least.
	if got := told(r.Deliver(t.Context(), hop, m, rcpt)); got != "3:a" || len(a.carried) != 2 {
		t.Errorf("%s, a was asked %d times", got, len(a.carried))
	}
}

// The organisation's server is down. Its mail must not fail because the way
// to the internet, which matches too, does not know the domain.
func TestAnotherWaysVerdictDoesNotCount(t *testing.T) {
	n := newInternet(t, internetZone+"\nelsewhere.example. A 192.0.2.4\nfiltered.example. MX 1 filter.example.\nfilter.example. A 192.0.2.5")
	n.host(t, "192.0.2.4:25")
	filter := n.host(t, "192.0.2.5:25")
	site := Site{Domains: []string{"filtered.example"}}
	r := n.siteRouter(t, site,
		Connector{Name: "organisation", SmartHosts: SmartHosts("[10.9.9.9]"),
			Spaces: []string{"null.example", "nowhere.example", "mine.example", "elsewhere.example", "filtered.example"}},
		Connector{Name: "internet", Spaces: []string{"*"}})
	for range 2 { // before and after it is known that the first way is down
		for to, want := range map[string]queue.Outcome{
			"a@null.example": queue.Unreachable, "a@nowhere.example": queue.Unreachable, "a@mine.example": queue.Unreachable,
			"a@filtered.example":       queue.Unreachable, // ours: the filter would send it back
			"a@elsewhere.example":      queue.Success,
			"nobody@elsewhere.example": queue.Failure, // a host's own word
		} {
			if got := send(t, r, to)[0]; got.Outcome != want {
				t.Errorf("%s: %+v, want %d", to, got, want)
			}
		}
	}
	if filter.sessions > 0 {
		t.Error("mail for a domain of ours went out by DNS")
	}
}

// Mail for a partner waits while the partner's hosts are down: the connector
// for everybody's mail does not get it, and only the Fallback that is named
// serves instead.
func TestExclusiveConnectorsHaveNoDetour(t *testing.T) {
	down := always(queue.Unreachable)
	partner, spare, world := &postman{name: "partner", outcome: down}, &postman{name: "spare"}, &postman{name: "world"}
	base := Connector{Name: "partner", Spaces: []string{"*.mil"}, Exclusive: true, Transport: partner}
	everybody := Connector{Name: "world", Spaces: []string{"*"}, Transport: world}

	r := &Router{Table: table(t, base, everybody)}
	for range 2 { // before and after it is known to be down
		if got := told(send(t, r, "a@army.mil")); got != "3:partner" {
			t.Errorf("%s", got)
		}
	}
	disabled := base
	disabled.Disabled = true
	r = &Router{Table: table(t, disabled, everybody)}
	if _, err := r.Route(t.Context(), &queue.Message{}, &queue.Recipient{Addr: "a@army.mil"}); replyText(err) != "451 4.4.4 No connector for army.mil now: disabled" {
		t.Errorf("disabled: %v", err)
	}
	withSpare := base
	withSpare.Fallback = "spare"
	r = &Router{Table: table(t, withSpare, everybody, Connector{Name: "spare", Transport: spare})}
	if got := told(send(t, r, "a@army.mil")); got != "1:spare" {
		t.Errorf("with a fallback: %s", got)
	}
	if len(world.carried) > 0 {
		t.Errorf("the world got %v", world.carried)
	}
}

// Mail for a domain of ours whose server is down does not go to the smart
// host of the rest of the world, but to another server of ours it may.
func TestOurDomainsStayWithUs(t *testing.T) {
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
	if got := told(send(t, r, "a@berlin.example.com")); got != "1:hq" {
		t.Errorf("%s", got)
	}
	hq.outcome = down
	for range 2 {
		if got := told(send(t, r, "a@berlin.example.com")); got != "3:berlin" {
			t.Errorf("with both down: %s", got)
		}
	}
	if len(upstream.carried) > 0 {
		t.Errorf("upstream got %v", upstream.carried)
	}
}

// Nor does mail for a domain of ours go the way of the world while its own
// connector is out of use, or because that does not take it: it would come back
// to us, and be refused as a loop.
func TestOurDomainsStayWithUsWhoeverIsBarred(t *testing.T) {
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
	// What has no connector but the world's goes by that.
	tb, err := Site{Domains: []string{"example.com"}}.NewTable(Connector{Name: "world", Spaces: []string{"*"}, SmartHosts: SmartHosts("[192.0.2.1]")})
	if err != nil {
		t.Fatal(err)
	}
	if got := routed(t, tb, &queue.Message{}, "a@example.com"); got != "world" {
		t.Errorf("with nothing else: %s", got)
	}
}

// A fallback that tries the DNS first would lead our own mail back to us.
func TestOurDomainsHaveNoFallbackByDNS(t *testing.T) {
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

// A connector that is out of use keeps the mail that only it would have taken.
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

// A connector that is RoutedOnly serves whom a hook sends to it, and nobody
// else.
func TestRoutedOnly(t *testing.T) {
	side, world := &postman{name: "side"}, &postman{name: "world"}
	r := &Router{Table: table(t,
		Connector{Name: "side", RoutedOnly: true, Transport: side},
		Connector{Name: "world", Spaces: []string{"*"}, Transport: world})}
	if got := told(send(t, r, "a@example.net")); got != "1:world" {
		t.Errorf("%s", got)
	}
	if got := told(r.Deliver(t.Context(), queue.NextHop{Connector: "side"}, &queue.Message{}, recipients("a@example.net"))); got != "1:side" {
		t.Errorf("sent its way: %s", got)
	}
}

// Recipients of one set of smart hosts part ways when it is down.
func TestFailoverByRecipient(t *testing.T) {
	hub := &postman{name: "hub", outcome: func(to string) queue.Outcome {
		if strings.HasPrefix(to, "refused@") {
			return queue.Failure
		}
		return queue.Unreachable
	}}
	com, net := &postman{name: "com"}, &postman{name: "net", outcome: always(queue.Deferred)}
	r := &Router{Table: table(t,
		Connector{Name: "hub", Spaces: []string{"example.com", "example.net", "example.org"}, Transport: hub},
		Connector{Name: "com", Spaces: []string{"*.com"}, Transport: com},
		Connector{Name: "net", Spaces: []string{"*.net"}, Transport: net},
	)}
	rcpts := recipients("a@example.com", "b@example.net", "c@example.org", "refused@example.com", "d@example.com")
	got := told(r.Deliver(t.Context(), queue.NextHop{Connector: "hub", Destination: "hub"}, &queue.Message{}, rcpts))
	if want := "1:com 0:net 3:hub 2:hub 1:com"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(com.carried) != 2 {
		t.Errorf("com carried %v, want both in one attempt", com.carried)
	}
}

func TestFallbackComesBeforeOtherMatches(t *testing.T) {
	down := always(queue.Unreachable)
	main, spare, other := &postman{name: "main", outcome: down}, &postman{name: "spare"}, &postman{name: "other"}
	r := &Router{Table: table(t,
		Connector{Name: "main", Spaces: []string{"*"}, Transport: main, Fallback: "spare"},
		Connector{Name: "other", Spaces: []string{"*"}, Transport: other},
		Connector{Name: "spare", Transport: spare},
	)}
	hop := queue.NextHop{Connector: "main", Destination: "main"}
	if got := told(r.Deliver(t.Context(), hop, &queue.Message{}, recipients("a@example.net"))); got != "1:spare" {
		t.Errorf("%s", got)
	}
	spare.outcome = down
	if got := told(r.Deliver(t.Context(), hop, &queue.Message{}, recipients("a@example.net"))); got != "1:other" {
		t.Errorf("with the spare down too: %s", got)
	}
}

// A connector's fallback is there for its mail, not for mail that it would not
// have taken.
func TestAFallbackOfABarredConnectorDoesNotServe(t *testing.T) {
	r := &Router{Table: table(t,
		Connector{Name: "main", Spaces: []string{"*"}, Fallback: "spare", Scope: Scope{Senders: []string{"example.com"}}, Transport: &postman{}},
		Connector{Name: "spare", Transport: &postman{}})}
	if hop, err := r.Route(t.Context(), &queue.Message{From: "x@example.org"}, queue.Rcpt("a@example.net")[0]); err == nil {
		t.Errorf("routed to %v", hop)
	}
}

// Who spoils the TLS to a host must not thereby choose another way: not to the
// smart hosts of DirectFirst, and not by making the hop count as down.
func TestNoDetourAroundTLS(t *testing.T) {
	spoilt := queue.Result{Outcome: queue.Unreachable, Reply: smtp.SMTPError{Code: 451, Message: "spoilt"},
		Err: &smtpclient.TLSError{Policy: "dane", Host: "mx.example.net", Err: errors.New("no match")}}
	t.Run("DirectFirst", func(t *testing.T) {
		r := &Router{Table: table(t, Connector{Name: "c", Spaces: []string{"*"}, DirectFirst: true, SmartHosts: SmartHosts("[192.0.2.1]")})}
		r.NewTransport = func(string) *smtpclient.Transport {
			return &smtpclient.Transport{TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSDANE}, DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no way")
			}}
		}
		r.Resolver = ResolverFunc(func(_ context.Context, name string, qtype uint16) (*Answer, error) {
			if qtype == dns.TypeA {
				return &Answer{Name: name, Records: []dns.RR{&dns.A{A: net.IPv4(192, 0, 2, 7)}}}, nil
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
		partner := TransportFunc(func(_ context.Context, j *Job) []queue.Result { return allAlike(len(j.Recipients), spoilt) })
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
		partner := TransportFunc(func(_ context.Context, j *Job) []queue.Result { return allAlike(len(j.Recipients), spoilt) })
		r := &Router{Table: table(t, Connector{Name: "own", Spaces: []string{"a.example.net"}, Transport: down},
			Connector{Name: "partner", Spaces: []string{"*.example.net"}, Transport: partner})}
		send(t, r, "a@a.example.net")
		if r.down.has(queue.NextHop{Connector: "partner", Destination: "partner"}) {
			t.Error("the hop counts as down")
		}
	})
}

func TestBrokenOffIsNotDown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &postman{name: "p", outcome: func(string) queue.Outcome { cancel(); return queue.Unreachable }}
	spare := &postman{name: "spare"}
	r := &Router{Table: table(t, Connector{Name: "p", Spaces: []string{"*"}, Transport: p},
		Connector{Name: "spare", Spaces: []string{"*;2"}, Transport: spare})}
	hop := queue.NextHop{Connector: "p", Destination: "p"}
	r.Deliver(ctx, hop, &queue.Message{}, recipients("a@example.net"))
	if r.down.has(hop) || len(spare.carried) > 0 {
		t.Error("an attempt that was broken off counts against the hop")
	}
}

func TestTheTableChangesWhileMailFlows(t *testing.T) {
	old, fresh := &postman{name: "old"}, &postman{name: "fresh"}
	r := &Router{Table: table(t, Connector{Name: "old", Spaces: []string{"*"}, Transport: old})}
	m, rcpts := &queue.Message{}, recipients("a@example.net", "b@example.org")
	hop, _ := r.Route(t.Context(), m, rcpts[0])
	r.SetTable(table(t, Connector{Name: "fresh", Spaces: []string{"*.net"}, Transport: fresh}))
	results := r.Deliver(t.Context(), hop, m, rcpts)
	if results[0].Outcome != queue.Success || results[0].Reply.Message != "fresh" {
		t.Errorf("a recipient with a way in the new table: %+v", results[0])
	}
	if results[1].Outcome != queue.Deferred || code(&results[1].Reply) != "451 4.4.4" {
		t.Errorf("a recipient without: %+v", results[1])
	}
	r.SetTable(nil)
	if hop, err := r.Route(t.Context(), m, rcpts[0]); err != nil || hop.Connector != "old" {
		t.Errorf("back to the field: %v, %v", hop, err)
	}
	if r.Close(); !old.closed {
		t.Error("Close does not close transports")
	}
}

// Routing, delivering, explaining and changing the table all at once.
func TestTheTableChangesUnderLoad(t *testing.T) {
	p := TransportFunc(func(_ context.Context, j *Job) []queue.Result {
		return allAlike(len(j.Recipients), queue.Result{Outcome: queue.Outcome(len(j.Hop.Connector) % 4)})
	})
	tables := []*Table{
		table(t, Connector{Name: "a", Spaces: []string{"*"}, Transport: p}, Connector{Name: "bbb", Spaces: []string{"example.net"}, Transport: p}),
		table(t, Connector{Name: "c", Spaces: []string{"*.net"}, Transport: p}),
	}
	r := &Router{Table: tables[0]}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m := &queue.Message{From: "alice@example.com", Content: queue.String("x")}
			for range 200 {
				rcpts := queue.Rcpt("a@example.net", "b@example.org")
				for _, rcpt := range rcpts {
					hop, err := r.Route(t.Context(), m, rcpt)
					if err == nil && len(r.Deliver(t.Context(), hop, m, rcpts)) != 2 {
						t.Error("a result is missing")
					}
				}
				r.Explain(t.Context(), Question{To: "a@example.net"})
				r.Pace(queue.NextHop{Connector: "a"})
			}
		})
	}
	for i := range 200 {
		r.SetTable(tables[i%2])
	}
	wg.Wait()
}

// Ten thousand domains are nothing out of the ordinary.
func TestALargeTable(t *testing.T) {
	site := Site{}
	var inbound, outbound []string
	connectors := []Connector{{Name: "internet", Spaces: []string{"*"}}}
	for i := range 10000 {
		site.Domains = append(site.Domains, fmt.Sprintf("*.in%d.example", i))
		inbound = append(inbound, fmt.Sprintf("in%d.example", i))
		outbound = append(outbound, fmt.Sprintf("*.out%d.example", i))
		connectors = append(connectors, Connector{Name: fmt.Sprint("c", i), Spaces: []string{fmt.Sprintf("own%d.example", i)}})
	}
	connectors = append(connectors, Connector{Name: "in", Spaces: inbound, SmartHosts: SmartHosts("[10.0.0.5]")}, Connector{Name: "out", Spaces: outbound})
	tb, err := site.NewTable(connectors...)
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{"a@in7.example": "in", "a@x.out77.example": "out", "a@own777.example": "c777", "a@x.in7.example": "internet"} {
		if got := routed(t, tb, &queue.Message{}, to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

func TestRoutedAndCategorized(t *testing.T) {
	p := &postman{name: "p"}
	r := &Router{Table: table(t, Connector{Name: "p", Spaces: []string{"*"}, Transport: p})}
	refused := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not there"}
	r.Routed = func(_ context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
		if rcpt.Addr == "refused@example.net" {
			return hop, refused
		}
		hop.Destination = "elsewhere"
		return hop, nil
	}
	m := &queue.Message{From: "a@example.com", Content: queue.String("x")}
	rcpts := recipients("a@example.net", "refused@example.net")
	if hop, err := r.Route(t.Context(), m, rcpts[0]); err != nil || hop.Destination != "elsewhere" {
		t.Errorf("%v, %v", hop, err)
	}
	if _, err := r.Route(t.Context(), m, rcpts[1]); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	hop := queue.NextHop{Connector: "p", Destination: "p"}
	r.Categorized = func(_ context.Context, _ queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) error {
		m.From = "rewritten@example.com"
		rcpts[0].Addr = "rewritten@example.net"
		return nil
	}
	if got := told(r.Deliver(t.Context(), hop, m, rcpts)); got != "1:p 1:p" || p.carried[0] != "rewritten@example.net" {
		t.Errorf("%s, carried %v", got, p.carried)
	}
	if m.From != "a@example.com" || rcpts[0].Addr != "a@example.net" {
		t.Error("the queue's own message was changed")
	}
	for err, want := range map[error]queue.Outcome{
		refused: queue.Failure, errors.New("not now"): queue.Deferred,
		&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}}: queue.Deferred,
	} {
		r.Categorized = func(context.Context, queue.NextHop, *queue.Message, []*queue.Recipient) error { return err }
		for _, result := range r.Deliver(t.Context(), hop, m, rcpts) {
			if result.Outcome != want {
				t.Errorf("%v: outcome %d, want %d", err, result.Outcome, want)
			}
		}
	}
}

func TestATransportThatMiscounts(t *testing.T) {
	r := &Router{Table: table(t, Connector{Name: "p", Spaces: []string{"*"},
		Transport: TransportFunc(func(context.Context, *Job) []queue.Result { return nil })})}
	for _, result := range r.Deliver(t.Context(), queue.NextHop{Connector: "p"}, &queue.Message{}, recipients("a@b.example", "c@d.example")) {
		if result.Outcome != queue.Deferred || result.Err == nil {
			t.Errorf("%+v", result)
		}
	}
}

func TestErrorPolicy(t *testing.T) {
	reply := func(o queue.Outcome, c, class, subject, detail int) queue.Result {
		return queue.Result{Outcome: o, Reply: smtp.SMTPError{Code: c, EnhancedCode: smtp.EnhancedCode{class, subject, detail}}}
	}
	nodomain := queue.Result{Outcome: queue.Failure, Err: dnsError(NoSuchName, "x.example", 15, "")}
	nodomain.Reply = *dnsError(NoSuchName, "x.example", 15, "").SMTP()
	for _, c := range []struct {
		policy ErrorPolicy
		in     queue.Result
		want   string
	}{
		{ErrorPolicy{}, reply(queue.Failure, 550, 5, 7, 1), "2 550 5.7.1"},
		{ErrorPolicy{Downgrade: []string{"5.7.1"}}, reply(queue.Failure, 550, 5, 7, 1), "0 451 4.7.1"},
		{ErrorPolicy{Downgrade: []string{"550"}}, reply(queue.Failure, 550, 5, 1, 1), "0 451 4.1.1"},
		{ErrorPolicy{Downgrade: []string{"554"}}, reply(queue.Failure, 550, 5, 7, 1), "2 550 5.7.1"},
		{ErrorPolicy{Upgrade: []string{"4.7.1"}}, reply(queue.Deferred, 451, 4, 7, 1), "2 550 5.7.1"},
		{ErrorPolicy{Upgrade: []string{"4.7.1"}}, reply(queue.Success, 250, 2, 0, 0), "1 250 2.0.0"},
		{ErrorPolicy{Upgrade: []string{"451"}}, reply(queue.Unreachable, 451, 4, 4, 1), "3 451 4.4.1"},
		{ErrorPolicy{}, nodomain, "2 550 5.1.2"},
		{ErrorPolicy{DowngradeDNS: true}, nodomain, "0 451 4.1.2"},
		{ErrorPolicy{DowngradeDNS: true}, reply(queue.Failure, 550, 5, 1, 2), "2 550 5.1.2"}, // the host's words, not the DNS's
	} {
		tb := table(t, Connector{Name: "c", Spaces: []string{"*"}, Errors: c.policy})
		tb.connectors[0].judge(&c.in)
		if got := fmt.Sprintf("%d %s", c.in.Outcome, code(&c.in.Reply)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.policy, got, c.want)
		}
	}
}
