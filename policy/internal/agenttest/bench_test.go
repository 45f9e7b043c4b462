package agenttest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	icontent "github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/audit"
	"github.com/bridgehead-mail/bridgehead/policy/content"
	"github.com/bridgehead-mail/bridgehead/policy/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/policy/pipetrace"
	"github.com/bridgehead-mail/bridgehead/policy/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/rules"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// BenchmarkContentAgents is what each agent that looks at content costs for a
// message of 4 KiB, of which it changes nothing or only the header.
func BenchmarkContentAgents(b *testing.B) {
	header := "Received: from a.example.org by relay.example.com with ESMTP id 1; Sat, 21 Nov 2026 20:41:31 +0000\r\n" +
		"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.com>\r\nSubject: hello\r\nDate: Sat, 21 Nov 2026 20:41:31 +0000\r\n" +
		"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
	text := strings.Repeat("A line of text as people write it, of some length.\r\n", 72)
	plain := header + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text
	parts := header + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + text + "--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n%PDF\r\n--b--\r\n"

	table, err := rewrite.NewMap(rewrite.Entry{Internal: "corp.example", External: "example.com"})
	if err != nil {
		b.Fatal(err)
	}
	list := make([]rules.Rule, 10)
	for i := range list {
		list[i] = rules.Rule{Name: fmt.Sprint(i), If: []rules.Condition{rules.From("*.example.net"), rules.Subject("invoice")}, Then: []rules.Action{rules.Drop()}}
	}
	tracer := &pipetrace.Tracer{Dir: b.TempDir(), Sender: "somebody@example.net"}
	for _, c := range []struct {
		name   string
		agents []smtpserver.Agent
	}{
		{"none", nil},
		{"header firewall", []smtpserver.Agent{new(firewall.Inbound).Agent()}},
		{"external", []smtpserver.Agent{(&firewall.External{Subject: "[EXTERNAL] "}).Agent()}},
		{"content filter", []smtpserver.Agent{new(content.Filter).Agent()}},
		{"attachments", []smtpserver.Agent{(&content.Attachments{Names: []string{"*.exe", "*.js"}}).Agent()}},
		{"rewriting", []smtpserver.Agent{(&rewrite.Outbound{Map: table}).Agent()}},
		{"ten rules", []smtpserver.Agent{(&rules.Rules{List: list}).Agent()}},
		{"tracing another sender", tracer.Wrap([]smtpserver.Agent{{}})},
		{"audit of none", new(audit.Audit).Wrap([]smtpserver.Agent{new(content.Filter).Agent()})},
	} {
		for kind, data := range map[string]string{"plain": plain, "multipart": parts} {
			b.Run(c.name+"/"+kind, func(b *testing.B) { run(b, data, c.agents) })
		}
	}
}

// run asks the agents about the message again and again, within a session.
func run(b *testing.B, data string, agents []smtpserver.Agent) {
	whole := icontent.Of([]byte(data))
	loop := smtpserver.Agent{Name: "loop", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		b.ReportAllocs()
		for b.Loop() {
			if err := m.SetContent(whole); err != nil {
				b.Fatal(err)
			}
			for _, a := range agents {
				if a.EndOfHeaders != nil {
					a.EndOfHeaders(ctx, s, m)
				}
				if a.EndOfData != nil {
					a.EndOfData(ctx, s, m)
				}
			}
		}
		return nil
	}}
	agenttest.Relay(b, "alice@example.org", []string{"bob@example.com"}, data, loop)
}
