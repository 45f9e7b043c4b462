package dkim

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// One server signs what its user sends, another verifies what the first one
// has taken over, byte for byte.
func TestAgents(t *testing.T) {
	keys := []Key{{Domain: "example.org", Selector: "rsa", Private: rsaKey()}, {Domain: "example.org", Selector: "ed", Private: edKey()}}
	signer := &Signer{Keys: Keys(keys...)}
	out := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		{Name: "login", Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
			if s.Helo() == "user.example" {
				s.SetIdentity("alice")
			}
			return nil
		}},
		signer.Agent(),
	}})
	var found *Verdict
	verifier, _ := newVerifier(t, zoneOf(t, nil, keys...))
	in := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		verifier.Agent(),
		{Name: "witness", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
			found = ResultOf(s)
			return nil
		}},
	}})
	for _, c := range []struct {
		helo, from string
		want       Result
		signatures int
	}{
		{"user.example", "From: Alice <alice@Sub.Example.ORG>", Pass, 2},
		{"user.example", "From: alice@other.example", None, 0},
		{"user.example", "X-From: none", None, 0},
		{"stranger.example", "From: alice@example.org", None, 0},
	} {
		submit(t, out, c.helo, c.from+"\r\nSubject: hi\r\nDate: Sat, 21 Nov 2026 20:41:31 +0000\r\n\r\nHello \r\n")
		submit(t, in, "mx.example", out.Inbox.Next(t).Text)
		if found == nil || found.Result() != c.want || len(found.Signatures) != c.signatures {
			t.Errorf("%s, %s: %+v, want %d that %s", c.helo, c.from, found, c.signatures, c.want)
		}
		in.Inbox.Next(t)
	}
}

// submit sends a message of few lines.
func submit(t *testing.T, srv *policytest.Server, helo, message string) {
	t.Helper()
	var script strings.Builder
	script.WriteString("S: 220\nC: EHLO " + helo + "\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(message, "\r\n"), "\r\n") {
		script.WriteString("R: " + strconv.Quote(line+"\r\n") + "\n")
	}
	script.WriteString("C: .\nS: 250\nC: QUIT\nS: 221\n")
	srv.Talk(t, "192.0.2.1", script.String())
}
