package dkim

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The hook signs messages that did not arrive by SMTP. It does not change others.
func TestHook(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "ed", Private: edKey()}
	hook := (&Signer{Keys: Keys(key)}).Hook()
	verifier, _ := newVerifier(t, zoneOf(t, nil, key))
	const body = "Subject: hi\r\n\r\nHello \r\n"
	for _, c := range []struct {
		what, from string
		origin     queue.Origin
		system     bool
		want       Result
	}{
		{"submitted by the program", "alice@example.org", queue.Origin{}, false, Pass},
		{"a report", "Mail Delivery System <postmaster@relay.example.org>", queue.Origin{Connector: "dsn"}, true, Pass},
		{"picked up", "alice@example.org", queue.Origin{Connector: "pickup"}, false, Pass},
		{"another's", "bob@example.net", queue.Origin{}, false, None},
		{"received by SMTP", "alice@example.org", queue.Origin{Connector: "internet", Protocol: "ESMTP"}, false, None},
		{"replayed", "alice@example.org", queue.Origin{Connector: "replay"}, false, None},
	} {
		text := "From: " + c.from + "\r\n" + body
		m := &queue.Message{Content: queue.String(text), Origin: c.origin, System: c.system}
		if err := hook.Submitted(t.Context(), m); err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		got, _ := io.ReadAll(io.NewSectionReader(m.Content, 0, m.Content.Size()))
		v, err := verifier.Verify(t.Context(), strings.NewReader(string(got)))
		if err != nil || v.Result() != c.want || !strings.HasSuffix(string(got), text) || c.want == None && string(got) != text {
			t.Errorf("%s: %v, %v, want %s: %q", c.what, v, err, c.want, got)
		}
	}
	m := &queue.Message{Content: queue.String(strings.Repeat("Subject: x\r\n", maxSigned) + "From: alice@example.org\r\n\r\n")}
	if err := hook.Submitted(t.Context(), m); err == nil || !strings.Contains(err.Error(), "cannot be signed") {
		t.Errorf("beyond the limits: %v", err)
	}
}

// Submit refuses content with LF or mixed line ends, but a hook before the
// Signer's can make it. It is signed as package smtpclient sends it, with CRLF.
// Its other bytes do not change.
func TestHookSignsLineEndsAsSent(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "ed", Private: edKey()}
	verifier, _ := newVerifier(t, zoneOf(t, nil, key))
	const text = "From: alice@example.org\r\nSubject: a\r\n folded line\r\n\r\nHello \r\n.\r\n\r\n"
	lf := strings.ReplaceAll(text, "\r\n", "\n")
	for _, simple := range []bool{false, true} {
		for name, in := range map[string]string{
			"CRLF":        text,
			"LF":          lf,
			"LF in body":  strings.Replace(text, "Hello \r\n", "Hello \n", 1),
			"LF at first": strings.Replace(text, "\r\n", "\n", 1),
			"bare CR":     strings.Replace(lf, "Hello ", "Hel\rlo\r", 1),
			"no body":     "From: alice@example.org\n",
			"no line end": "From: alice@example.org",
		} {
			srv := smtptest.NewServer(t, &smtpserver.Server{})
			store := new(memory.Store)
			table, err := routing.NewTable(routing.Connector{Name: "up", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(srv.Addr)})
			if err != nil {
				t.Fatal(err)
			}
			router := &routing.Router{Table: table, Hostname: "relay.example.com"}
			q := &queue.Queue{Store: store, Deliverer: router, Hostname: "relay.example.com", Hooks: []queue.Hook{
				{Name: "replace", Submitted: func(_ context.Context, m *queue.Message) error { m.Content = queue.String(in); return nil }},
				(&Signer{Keys: Keys(key), Simple: simple}).Hook(),
			}}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- q.Run(ctx) }()
			m := &queue.Message{From: "alice@example.org", Recipients: queue.Rcpt("bob@example.com"), Content: queue.String(text)}
			if err := q.Submit(ctx, m); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var kept strings.Builder
			m.Content.WriteTo(&kept)
			if name == "no line end" {
				in += "\r\n" // without it a field that is added below would be part of this one
			}
			if !strings.HasSuffix(kept.String(), in) || strings.Contains(name, "LF") && name != "LF in body" && name != "CRLF" && strings.Contains(strings.TrimSuffix(kept.String(), in), "\r") {
				t.Errorf("%s: kept as %q", name, kept.String())
			}
			got := srv.Inbox.Next(t).Text
			if v, err := verifier.Verify(ctx, strings.NewReader(got)); err != nil || v.Result() != Pass {
				t.Errorf("%s, simple %v: %+v, %v: %q", name, simple, v, err, got)
			}
			stop()
			<-done
			router.Close()
		}
	}
}
