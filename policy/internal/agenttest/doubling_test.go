package agenttest_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/filter/milter"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/filter/scan"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// noRecords is a Resolver that finds nothing.
var noRecords = resolver.Func(func(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	return nil, &resolver.Error{Problem: resolver.NoSuchName, Name: name, Type: t}
})

// agents returns the agents that read messages, each alone.
func agents(t *testing.T) map[string]smtpserver.Agent {
	key := dkim.Key{Domain: "example.org", Selector: "s", Private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	addresses, err := rewrite.NewMap(rewrite.Entry{Internal: "example.net", External: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	domains, err := policy.NewDomains(policy.Domain{Name: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	rule := func(name string, c rules.Condition) smtpserver.Agent {
		rs := &rules.Rules{AllowAmbiguous: true, List: []rules.Rule{{Name: name, If: []rules.Condition{c}, Then: []rules.Action{rules.PrependSubject("[x]")}}}}
		return rs.Agent()
	}
	return map[string]smtpserver.Agent{
		"dkim.Verifier":              (&dkim.Verifier{Resolver: noRecords}).Agent(),
		"dkim.Signer":                (&dkim.Signer{Keys: func(string) []dkim.Key { return []dkim.Key{key} }}).Agent(),
		"arc.Verifier":               (&arc.Verifier{Resolver: noRecords}).Agent(),
		"arc.Sealer":                 (&arc.Sealer{Key: key, ID: "relay.example.com"}).Agent(),
		"dmarc.Checker":              (&dmarc.Checker{Resolver: noRecords}).Agent(),
		"authres.Stamper":            (&authres.Stamper{ID: "relay.example.com"}).Agent(),
		"content.Attachments":        (&content.Attachments{Names: []string{"*.exe"}, Types: []string{"video/*"}, AllowUnreadable: true}).Agent(),
		"content.Attachments, strip": (&content.Attachments{Names: []string{"*"}, Strip: true, AllowUnreadable: true}).Agent(),
		"content.Filter":             (&content.Filter{Reject: 9, Mark: 5, Subject: "[spam]"}).Agent(),
		"firewall.Inbound":           (&firewall.Inbound{}).Agent(),
		"firewall.Outbound":          (&firewall.Outbound{}).Agent(),
		"firewall.External":          (&firewall.External{Subject: "[external]"}).Agent(),
		"rewrite.Inbound":            (&rewrite.Inbound{Map: addresses}).Agent(),
		"rewrite.Outbound":           (&rewrite.Outbound{Map: addresses}).Agent(),
		"rewrite.Masquerade":         (&rewrite.Masquerade{Domain: "example.org", Domains: []string{"*.example.net"}}).Agent(),
		"rules, header":              rule("header", rules.Header("Subject", "a+b")),
		"rules, subject":             rule("subject", rules.Subject("lottery")),
		"rules, body":                rule("body", rules.Body("lottery")),
		"rules, attachment":          rule("attachment", rules.Attachment("*.exe")),
		"policy.Spoofing":            (&policy.Spoofing{Domains: domains}).Agent(),
		"policy.Loop":                (&policy.Loop{}).Agent(),
		"policy.Trace":               (&policy.Trace{}).Agent(),
		"policy.SenderFilter":        (&policy.SenderFilter{Domains: []string{"*.example.net"}}).Agent(),
		"policy.SendAs":              (&policy.SendAs{}).Agent(),
		"scan.Clamd":                 (&scan.Clamd{Address: clamd(t)}).Agent(),
		"scan.Spamd":                 (&scan.Spamd{Address: spamd(t)}).Agent(),
		"scan.HTTP":                  (&scan.HTTP{URL: hook(t)}).Agent(),
		"milter.Client":              (&milter.Client{Address: filter(t)}).Agent(),
	}
}

// send sends a message, waits for the reply, and reports whether it was accepted.
func send(t *testing.T, addr, message string) (accepted bool) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return false
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, line := range []string{"", "HELO client.example.org\r\n", "MAIL FROM:<a@example.net>\r\n", "RCPT TO:<b@example.com>\r\n", "DATA\r\n",
		strings.ReplaceAll("\r\n"+message+"\r\n", "\r\n.", "\r\n..")[2:] + ".\r\n"} {
		fmt.Fprint(c, line)
		reply, err := r.ReadString('\n')
		if err != nil {
			t.Error(err)
			return false
		}
		accepted = reply[0] == '2'
	}
	return accepted
}

// A message of twice the length takes each agent about twice the time, with the server
// that receives it.
func TestAgentsAreLinear(t *testing.T) {
	units := []string{
		"a", " ", "a\r\n", "\r\n", "\t\r\n ", "a\r\n ", "<a@b>,", "a@b.example.net,", "\"a\" <a@bücher.example>,\r\n ", "(", "\"", "=?utf-8?q?a?= ", "=41", "&amp;", "<a>", "<a",
		";name=\"a\"", ";name*0=a", "A: b\r\n", "Received: x\r\n", "From: a@example.com\r\n", "Subject: a\r\n", "Content-Type: text/html\r\n",
		"DKIM-Signature: v=1; a=rsa-sha256; d=a; s=a; h=from; bh=a; b=a\r\n", "ARC-Seal: i=1; cv=none; d=a; s=a; b=a\r\n", "Authentication-Results: relay.example.com; spf=pass\r\n",
		"--b\r\n\r\n", "--b\r\nContent-Type: a/b; name=a.exe\r\n\r\nx\r\n", "--b\r\nContent-Type: message/rfc822\r\n\r\n",
	}
	const mixed = "From: a@example.net\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n"
	for name, agent := range agents(t) {
		srv := agenttest.StartServer(t, &smtpserver.Server{
			Hostname: "relay.example.com", Agents: []smtpserver.Agent{agent}, Limits: smtpserver.Limits{HeaderSize: 1 << 20, DataRate: -1, Hops: 1 << 20, ConnectionRate: -1, MessageRate: -1, ProtocolErrors: 1 << 20}, Handler: discard{},
		})
		sent, accepted := 0, 0
		count := func(message string) {
			sent++
			if send(t, srv.Addr, message) {
				accepted++
			}
		}
		texts := units
		if strings.HasPrefix(name, "scan.") || strings.HasPrefix(name, "milter.") {
			texts = []string{"a", "\r\n", "A: b\r\n", "a\r\n "} // the agent does not parse the message
		}
		doubling.Time(t, map[string]func(string){
			name + ", header": func(s string) { count(mixed + s + "\r\n\r\nx") },
			name + ", field":  func(s string) { count("From: " + s + "\r\nTo: a@b\r\n\r\nx") },
			name + ", body":   func(s string) { count(mixed + "\r\n--b\r\nContent-Type: text/html\r\n\r\n" + s + "\r\n--b--") },
		}, texts)
		if accepted < sent/2 {
			t.Errorf("%s: the server accepted %d of %d messages, so the agent saw few of them", name, accepted, sent)
		}
	}
}

// discard is a Handler that accepts all messages.
type discard struct{}

func (discard) Receive(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) {
	return "", nil
}
