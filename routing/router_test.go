package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A postman is a Transport that records recipients and returns the given
// outcome.
type postman struct {
	name       string
	outcome    func(rcpt string) queue.Outcome // nil: success
	recipients []string
	closed     bool
}

func (p *postman) Deliver(_ context.Context, j *Job) []queue.Result {
	results := make([]queue.Result, len(j.Recipients))
	for i, rcpt := range j.Recipients {
		p.recipients = append(p.recipients, rcpt.Addr)
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

// outcomes returns the outcome and the text of each result.
func outcomes(results []queue.Result) string {
	var parts []string
	for _, r := range results {
		parts = append(parts, fmt.Sprintf("%d:%s", r.Outcome, r.Reply.Message))
	}
	return strings.Join(parts, " ")
}

func TestNextConnectorWhenTheFirstIsDown(t *testing.T) {
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
		if got := outcomes(r.Deliver(t.Context(), hop, m, rcpt)); got != "1:second" {
			t.Errorf("delivered: %s", got)
		}
		if !strings.Contains(log.String(), "next hop unreachable") {
			t.Errorf("log: %s", log.String())
		}
		// Further mail uses the second hop at once, until the first is tried again.
		r.Deliver(t.Context(), hop, m, rcpt)
		if len(first.recipients) != 1 || len(second.recipients) != 2 {
			t.Errorf("while it is down the first got %d and the second %d", len(first.recipients), len(second.recipients))
		}
		time.Sleep(time.Minute)
		first.outcome = nil
		if got := outcomes(r.Deliver(t.Context(), hop, m, rcpt)); got != "1:first" {
			t.Errorf("when it is back: %s", got)
		}
	})
}

func TestFirstErrorWhenAllAreDown(t *testing.T) {
	down := always(queue.Unreachable)
	a, b := &postman{name: "a", outcome: down}, &postman{name: "b", outcome: down}
	r := &Router{Table: table(t,
		Connector{Name: "a", Spaces: []string{"*"}, Transport: a},
		Connector{Name: "b", Spaces: []string{"*"}, Transport: b},
	)}
	m, rcpt := &queue.Message{}, recipients("x@example.net")
	hop, _ := r.Route(t.Context(), m, rcpt[0])
	if got := outcomes(r.Deliver(t.Context(), hop, m, rcpt)); got != "3:a" {
		t.Errorf("%s", got)
	}
	if len(b.recipients) != 1 {
		t.Error("b was not tried")
	}
	// On the queue's next attempt, at least the first hop is tried.
	if got := outcomes(r.Deliver(t.Context(), hop, m, rcpt)); got != "3:a" || len(a.recipients) != 2 {
		t.Errorf("%s, a was asked %d times", got, len(a.recipients))
	}
}

// The organization's server is down. Its mail must not fail because the domain
// is not in the DNS, which the matching connector for the internet uses.
func TestDNSErrorOfAlternativeIsNotFinal(t *testing.T) {
	n := newInternet(t, internetZone+"\nelsewhere.example. A 192.0.2.4\nfiltered.example. MX 1 filter.example.\nfilter.example. A 192.0.2.5")
	n.host(t, "192.0.2.4:25")
	filter := n.host(t, "192.0.2.5:25")
	site := Site{Domains: []string{"filtered.example"}}
	r := n.siteRouter(t, site,
		Connector{Name: "organization", SmartHosts: SmartHosts("[10.9.9.9]"),
			Spaces: []string{"null.example", "nowhere.example", "mine.example", "elsewhere.example", "filtered.example"}},
		Connector{Name: "internet", Spaces: []string{"*"}})
	for range 2 { // before and after it is known that the first way is down
		for to, want := range map[string]queue.Outcome{
			"a@null.example": queue.Unreachable, "a@nowhere.example": queue.Unreachable, "a@mine.example": queue.Unreachable,
			"a@filtered.example":        queue.Unreachable, // ours: the filter would send it back
			"a@elsewhere.example":       queue.Success,
			"unknown@elsewhere.example": queue.Failure, // the reply of a host
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

// A connector with RoutedOnly gets only mail that a hook routes to it.
func TestRoutedOnly(t *testing.T) {
	side, world := &postman{name: "side"}, &postman{name: "world"}
	r := &Router{Table: table(t,
		Connector{Name: "side", RoutedOnly: true, Transport: side},
		Connector{Name: "world", Spaces: []string{"*"}, Transport: world})}
	if got := outcomes(send(t, r, "a@example.net")); got != "1:world" {
		t.Errorf("%s", got)
	}
	if got := outcomes(r.Deliver(t.Context(), queue.NextHop{Connector: "side"}, &queue.Message{}, recipients("a@example.net"))); got != "1:side" {
		t.Errorf("sent its way: %s", got)
	}
}

// Recipients with the same smart hosts get different alternatives when these
// are down.
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
	got := outcomes(r.Deliver(t.Context(), queue.NextHop{Connector: "hub", Destination: "hub"}, &queue.Message{}, rcpts))
	if want := "1:com 0:net 3:hub 2:hub 1:com"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(com.recipients) != 2 {
		t.Errorf("com got %v, want both in one attempt", com.recipients)
	}
}

func TestFallbackBeforeOtherMatches(t *testing.T) {
	down := always(queue.Unreachable)
	main, spare, other := &postman{name: "main", outcome: down}, &postman{name: "spare"}, &postman{name: "other"}
	r := &Router{Table: table(t,
		Connector{Name: "main", Spaces: []string{"*"}, Transport: main, Fallback: "spare"},
		Connector{Name: "other", Spaces: []string{"*"}, Transport: other},
		Connector{Name: "spare", Transport: spare},
	)}
	hop := queue.NextHop{Connector: "main", Destination: "main"}
	if got := outcomes(r.Deliver(t.Context(), hop, &queue.Message{}, recipients("a@example.net"))); got != "1:spare" {
		t.Errorf("%s", got)
	}
	spare.outcome = down
	if got := outcomes(r.Deliver(t.Context(), hop, &queue.Message{}, recipients("a@example.net"))); got != "1:other" {
		t.Errorf("with the spare down too: %s", got)
	}
}

// A connector's fallback gets only mail that the connector itself could take.
func TestFallbackOfIneligibleConnector(t *testing.T) {
	r := &Router{Table: table(t,
		Connector{Name: "main", Spaces: []string{"*"}, Fallback: "spare", Scope: Scope{Senders: []string{"example.com"}}, Transport: &postman{}},
		Connector{Name: "spare", Transport: &postman{}})}
	if hop, err := r.Route(t.Context(), &queue.Message{From: "x@example.org"}, queue.Rcpt("a@example.net")[0]); err == nil {
		t.Errorf("routed to %v", hop)
	}
}

func TestCanceledAttemptIsNotDown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &postman{name: "p", outcome: func(string) queue.Outcome { cancel(); return queue.Unreachable }}
	spare := &postman{name: "spare"}
	r := &Router{Table: table(t, Connector{Name: "p", Spaces: []string{"*"}, Transport: p},
		Connector{Name: "spare", Spaces: []string{"*;2"}, Transport: spare})}
	hop := queue.NextHop{Connector: "p", Destination: "p"}
	r.Deliver(ctx, hop, &queue.Message{}, recipients("a@example.net"))
	if r.down.has(hop) || len(spare.recipients) > 0 {
		t.Error("a canceled attempt marks the hop as down")
	}
}

func TestSetTable(t *testing.T) {
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

// Route, Deliver, Explain and SetTable at the same time.
func TestTheTableChangesUnderLoad(t *testing.T) {
	p := TransportFunc(func(_ context.Context, j *Job) []queue.Result {
		return sameResults(len(j.Recipients), queue.Result{Outcome: queue.Outcome(len(j.Hop.Connector) % 4)})
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

// A table with ten thousand domains.
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
	if got := outcomes(r.Deliver(t.Context(), hop, m, rcpts)); got != "1:p 1:p" || p.recipients[0] != "rewritten@example.net" {
		t.Errorf("%s, got %v", got, p.recipients)
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

func TestTransportWithWrongResultCount(t *testing.T) {
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
	loop := queue.Result{Outcome: queue.Failure, Err: &LoopError{Domain: "x.example"}, Reply: *(&LoopError{Domain: "x.example"}).SMTP()}
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
		{ErrorPolicy{}, loop, "2 550 5.4.6"},
		{ErrorPolicy{DowngradeLoops: true}, loop, "0 451 4.4.6"},
		{ErrorPolicy{DowngradeLoops: true}, reply(queue.Failure, 554, 5, 4, 6), "2 554 5.4.6"}, // too many hops, by another host
	} {
		tb := table(t, Connector{Name: "c", Spaces: []string{"*"}, Errors: c.policy})
		tb.connectors[0].applyErrorPolicy(&c.in)
		if got := fmt.Sprintf("%d %s", c.in.Outcome, code(&c.in.Reply)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.policy, got, c.want)
		}
	}
}
