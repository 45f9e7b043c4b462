package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// An operator asks where mail would go, and whether the hosts can take it.
func TestExplainAndProbe(t *testing.T) {
	w := newWorld(t, nil)
	w.do("explain", "bob@closed.example").want(0, "internet", "closed.example", "sent", "CONNECTOR")
	w.do("explain", "bob@closed.example", "-hosts", "-from", "alice@example.com").want(0, "mx.hosts.test", "127.0.0.1:")
	w.do("explain").want(2, "recipient")
	w.do("explain", "bob@closed.example", "-priority", "100").want(1, "priority")
	doc := w.do("explain", "bob@closed.example", "-json").want(0).json()
	if e := doc["explanation"].(map[string]any); e["destination"] != "closed.example" || e["outcome"] != "sent" {
		t.Errorf("the document is %v", doc)
	}

	w.do("probe", "bob@closed.example").want(0, "mx.hosts.test", "ok", "test.example ESMTP")
	w.do("probe", "bob@gone.example").want(1, "refused", "no host can take mail")
	if doc := w.do("probe", "bob@closed.example", "-json").want(0).json(); len(doc["explanation"].(map[string]any)["probes"].([]any)) != 1 {
		t.Errorf("the document is %v", doc)
	}
	if n := w.inbox.Len(); n != 0 {
		t.Errorf("the probe has sent %d messages", n)
	}
}

// The check has findings. An error among them is the exit status 1.
func TestCheck(t *testing.T) {
	w := newWorld(t, nil)
	r := w.do("check", "-reason", "before the weekend")
	if r.status == 1 != strings.Contains(r.out, "error  ") || r.status > 1 {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	r.want(r.status, "SEVERITY", "SUBJECT")
	if doc := w.do("check", "-json").json(); len(doc["findings"].([]any)) == 0 {
		t.Errorf("the document is %v", doc)
	}
	w.do("check", "now").want(2)
}

// The candidate of the program is tested against the mail of the last day.
func TestCompare(t *testing.T) {
	candidate := func(context.Context) (*compare.Candidate, error) {
		table, err := routing.NewTable(routing.Connector{Name: "partner", Spaces: []string{"closed.example"}, SmartHosts: routing.SmartHosts("[192.0.2.1]")},
			routing.Connector{Name: "internet", Spaces: []string{"*"}})
		return &compare.Candidate{Name: "next.yaml", Table: table}, err
	}
	w := newWorld(t, func(c *console.Console) { c.Candidate = candidate })
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	w.send("alice@example.com", "bob@shut.example", "Tea")
	w.until("both messages are in the log", func() bool {
		return strings.Contains(w.do("compare").out, "2 messages")
	})
	w.do("compare", "-since", "1h").want(0, "next.yaml", "closed.example: 1 of 1 recipients change", "partner", id)
	doc := w.do("compare", "-json").want(0).json()
	if domains := doc["domains"].([]any); len(domains) != 1 || doc["unchangedDomains"] != 1.0 {
		t.Errorf("the document is %v", doc)
	}
	w.do("compare", "-since", "soon").want(2)
	w.do("compare", "FILE").want(2)
	w.do("compare", "-since", "1h", "-until", "2h").want(1, "before since")
}

// Without a candidate there is nothing to compare.
func TestCompareWithoutCandidate(t *testing.T) {
	w := newWorld(t, nil)
	w.do("compare").want(3, "no candidate")
	w = newWorld(t, func(c *console.Console) {
		c.Candidate = func(context.Context) (*compare.Candidate, error) { return nil, errors.New("line 7: no such connector") }
	})
	w.do("compare").want(1, "line 7: no such connector")
}
