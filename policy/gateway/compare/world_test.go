package compare_test

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// domains are accepted domains by name; "example.com=internal relay" sets the
// kind.
func domains(names ...string) []policy.Domain {
	list := []policy.Domain{}
	for _, n := range names {
		name, kind, _ := strings.Cut(n, "=")
		d := policy.Domain{Name: name}
		for k := policy.Authoritative; k <= policy.ExternalRelay; k++ {
			if k.String() == kind {
				d.Kind = k
			}
		}
		list = append(list, d)
	}
	return list
}

// table makes a routing table of connectors for smart hosts: "name space ..." with
// the smart host name.test.
func table(t testing.TB, change func(*routing.Connector), connectors ...string) *routing.Table {
	t.Helper()
	var all []routing.Connector
	for _, text := range connectors {
		words := strings.Fields(text)
		c := routing.Connector{Name: words[0], Spaces: words[1:], SmartHosts: routing.SmartHosts(words[0] + ".test")}
		if change != nil {
			change(&c)
		}
		all = append(all, c)
	}
	tb, err := routing.NewTable(all...)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// relay returns a relay with the receive connector "internet", whose clients in
// 10.0.0.0/8 and those that have authenticated may relay. It does not run.
func relay(t testing.TB, tb *routing.Table, accepted []policy.Domain, change func(*policy.Gate)) *gateway.Gateway {
	t.Helper()
	q := &queue.Queue{Store: &memory.Store{}, Deliverer: &routing.Router{Hostname: "relay.test", Table: tb}, Hostname: "relay.test"}
	gate := &policy.Gate{Domains: accepted, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Queue: q}
	if change != nil {
		change(gate)
	}
	srv := &smtpserver.Server{Name: "internet", Hostname: "relay.test", AllowInsecureAuth: true}
	srv.Auth = smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return nil })
	if err := gate.Install(srv); err != nil {
		t.Fatal(err)
	}
	return &gateway.Gateway{Hostname: "relay.test", Servers: []*smtpserver.Server{srv}, Queue: q}
}

// received is the line of a message that was received by the connector "internet".
// columns replace the columns, in pairs of name and value.
func received(from, to string, columns ...string) *tracking.Entry {
	rcpts := strings.Split(to, ";")
	e := &tracking.Entry{Time: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Event: "RECEIVE", ID: "m1", MessageID: "<m1@example.org>", Sender: from, Recipients: rcpts,
		Columns: map[string]string{"client-ip": "192.0.2.1", "connector-id": "internet", "source": "SMTP", "event-id": "RECEIVE",
			"total-bytes": "1000", "recipient-count": strconv.Itoa(len(rcpts)), "recipient-address": to, "directionality": "Incoming"}}
	for i := 0; i+1 < len(columns); i += 2 {
		if columns[i] == "time" {
			e.Time, _ = time.Parse(time.RFC3339, columns[i+1])
			continue
		}
		e.Columns[columns[i]] = columns[i+1]
	}
	return e
}

func each(entries ...*tracking.Entry) iter.Seq2[*tracking.Entry, error] {
	return func(yield func(*tracking.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// run compares, and returns the changes as text, one per line.
func run(t testing.TB, g *gateway.Gateway, c compare.Candidate, entries ...*tracking.Entry) (*compare.Result, string) {
	t.Helper()
	r, err := (&compare.Comparison{Gateway: g, Candidate: c}).Run(context.Background(), each(entries...))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range r.Domains {
		for _, ch := range d.Changes {
			lines = append(lines, fmt.Sprintf("%s %d %s: %s -> %s", d.Name, ch.Recipients, ch.Kind, ch.Before, ch.After))
		}
	}
	return r, strings.Join(lines, "\n")
}
