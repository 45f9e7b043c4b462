package compare_test

import (
	"context"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// A relay receives mail by SMTP and writes its tracking log. The comparison with
// this log finds what a new table and new domains would change.
func TestRealRelay(t *testing.T) {
	discard := func(c *routing.Connector) {
		c.SmartHosts = nil
		c.Transport = routing.TransportFunc(func(_ context.Context, j *routing.Job) []queue.Result {
			results := make([]queue.Result, len(j.Recipients))
			for i := range results {
				results[i].Outcome = queue.Success
			}
			return results
		})
	}
	tb := table(t, discard, "org example.com old.example", "world *;10")
	g := relay(t, tb, domains("example.com", "old.example"), nil)
	g.Listeners = []*gateway.Listener{{Server: g.Servers[0], Address: "127.0.0.1:0"}}
	g.Servers = nil
	dir := t.TempDir()
	g.Tracking = &tracking.Log{Dir: dir}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-g.Ready()
	began := time.Now().Add(-time.Second)
	for _, to := range [][]string{{"a@example.com"}, {"a@example.com", "b@old.example"}, {"b@old.example"}} {
		msg := "From: s@x.example\r\nTo: a@example.com\r\nSubject: x\r\nMessage-ID: <1@x.example>\r\n\r\n" + strings.Repeat("x", 500) + "\r\n"
		if err := smtp.SendMail(g.Listeners[0].Addr().String(), nil, "s@x.example", to, []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	refused := smtp.SendMail(g.Listeners[0].Addr().String(), nil, "s@x.example", []string{"c@new.example"}, []byte("Subject: x\r\n\r\nx\r\n"))
	if refused == nil || !strings.Contains(refused.Error(), "Unable to relay") {
		// 127.0.0.1 is not in the networks that may relay
		t.Fatalf("%v, want a refusal", refused)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	c := &compare.Comparison{Gateway: g, Candidate: compare.Candidate{Name: "new.yaml",
		Table: table(t, discard, "mailboxes example.com", "world *;10"), Domains: domains("example.com")}}
	r, err := c.Log(t.Context(), dir, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Candidate != "new.yaml" || r.Messages != 3 || r.Compared.Recipients != 5 || r.Unchanged.Recipients != 1 || len(r.Domains) != 2 || r.Partial != "" || len(r.Notes) != 0 {
		t.Fatalf("%+v", r)
	}
	for i, want := range []compare.Change{
		{Kind: compare.Rerouted, Before: compare.Decision{Acceptance: "authoritative", Outcome: compare.Sent, Connector: "org", Destination: "org"},
			After: compare.Decision{Acceptance: "authoritative", Outcome: compare.Sent, Connector: "mailboxes", Destination: "mailboxes"}},
		{Kind: compare.NowRefused, Before: compare.Decision{Acceptance: "authoritative", Outcome: compare.Sent, Connector: "org", Destination: "org"},
			After: compare.Decision{Acceptance: "not accepted", Outcome: compare.Refused, Reason: "550 5.7.1 Unable to relay"}},
	} {
		d := r.Domains[i]
		ch := d.Changes[0]
		if d.Name != []string{"example.com", "old.example"}[i] || len(d.Changes) != 1 || ch.Kind != want.Kind || ch.Before != want.Before || ch.After != want.After || ch.Recipients != 2 || ch.Bytes < 2*500 {
			t.Errorf("%s: %+v, want %+v", d.Name, d.Changes, want)
		}
		e := ch.Examples[0]
		if len(ch.Examples) != 2 || e.MessageID != "<1@x.example>" || e.Sender != "s@x.example" || e.ID == "" || e.Client != "127.0.0.1" || e.Connector != "internet" || e.Time.Before(began.Truncate(time.Millisecond)) {
			t.Errorf("%+v", ch.Examples)
		}
	}
	// The log has the recipient that was refused. It would be accepted.
	c.Candidate = compare.Candidate{Domains: domains("example.com", "old.example", "new.example")}
	if r, err = c.Log(t.Context(), dir, time.Time{}, time.Time{}); err != nil || len(r.Domains) != 1 || r.Domains[0].Name != "new.example" ||
		r.Domains[0].Changes[0].Kind != compare.NowAccepted || r.Domains[0].Changes[0].Examples[0].Sender != "s@x.example" {
		t.Errorf("%+v, %v", r, err)
	}
	// Before the mail arrived, there was none.
	if r, err = c.Log(t.Context(), dir, began.Add(-time.Hour), began); err != nil || r.Lines != 0 || !r.Since.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
}
