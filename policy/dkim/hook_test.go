package dkim

import (
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The hook signs what did not come by SMTP, and leaves the rest byte for byte.
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
		{"by SMTP, which the agent has judged", "alice@example.org", queue.Origin{Connector: "internet", Protocol: "ESMTP"}, false, None},
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
	m := &queue.Message{Content: queue.String(strings.Repeat("Subject: x\r\n", 1000) + "From: alice@example.org\r\n\r\n")}
	if err := hook.Submitted(t.Context(), m); err == nil || !strings.Contains(err.Error(), "cannot be signed") {
		t.Errorf("beyond the limits: %v", err)
	}
}
