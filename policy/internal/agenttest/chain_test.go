package agenttest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	icontent "github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/policy/trace/audit"
	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain returns all agents that may change content, with settings that change
// nothing. The mail of one sender is traced.
func chain(t testing.TB, sender string) []smtpserver.Agent {
	table, err := rewrite.NewMap(rewrite.Entry{Internal: "corp.example", External: "public.example"})
	if err != nil {
		t.Fatal(err)
	}
	never := []rules.Condition{rules.Subject("no such subject"), rules.Body("no such text"), rules.Attachment("*.none")}
	agents := []smtpserver.Agent{
		new(firewall.Inbound).Agent(),
		(&rewrite.Inbound{Map: table}).Agent(),
		(&rewrite.Outbound{Map: table}).Agent(),
		(&rewrite.Masquerade{Domain: "public.example", Domains: []string{"corp.example"}}).Agent(),
		(&rules.Rules{AllowAmbiguous: true, List: []rules.Rule{{Name: "never", If: []rules.Condition{rules.Any(never...)}, Then: []rules.Action{rules.Drop()}}}}).Agent(),
		(&content.Attachments{Names: []string{"*.exe"}, Types: []string{"application/x-msdownload"}, Strip: true, AllowUnreadable: true}).Agent(),
		new(content.Filter).Agent(),
		(&firewall.External{Subject: "[EXTERNAL] ", Inside: func(*smtpserver.Session) bool { return true }}).Agent(),
		new(firewall.Outbound).Agent(),
	}
	tracer := &pipetrace.Tracer{Dir: t.TempDir(), Sender: sender}
	return new(audit.Audit).Wrap(tracer.Wrap(agents))
}

// The agents do not change a byte of a message that they need not change, even of
// an unusual one.
func TestAgentsChangeNothing(t *testing.T) {
	agents := chain(t, "alice@example.org")
	for _, m := range []string{
		"Subject: x\r\n\r\nbody\r\n",
		"Subject: x\r\n",
		"\r\n",
		"\r\nno header\r\n",
		"SUBJECT :\tx \r\n\t\r\n y\r\nFrom:a@b (c(d)\r\n )\r\nTo: \"a\r\n\r\n",
		"Subject: \xe4\xff\r\nFrom: \xe4 <a@example.org>\r\nTo: \xe4@corp.example.org\r\n\r\n\xff\xfe\r\n",
		"From: =?utf-8?Q?broken\r\nContent-Type: multipart/mixed\r\n\r\n--\r\n----\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n\r\n--b--\r\n--b\r\nafter\r\n",
		"Content-Type: multipart/mixed; boundary=\"b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n--b--",
		"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nX-A: b\r\n\r\n\r\n--b--\r\n",
		"Content-Transfer-Encoding: base64\r\nContent-Type: application/zip\r\n\r\nUEsDBA=x=\r\n",
		"X-Long: " + strings.Repeat("x", 900) + "\r\n\r\n" + strings.Repeat("y", 900) + "\r\n..\r\n.\r\n",
		"Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("z", 76)+"\r\n", 30000),
	} {
		want := m
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n" // added by the client
		}
		if got := agenttest.Relay(t, "alice@example.org", []string{"bob@example.com"}, m, agents...); got.Data != want {
			t.Errorf("%.200q became %.200q", want, got.Data)
		}
	}
}

// BenchmarkContentAgents measures each agent that reads the content, with a message
// of 4 KiB. The agent changes nothing or only the header.
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
		{"all of them, traced and audited", chain(b, "somebody@example.net")},
		{"content filter, audited", new(audit.Audit).Wrap([]smtpserver.Agent{new(content.Filter).Agent()})},
	} {
		for kind, data := range map[string]string{"plain": plain, "multipart": parts} {
			b.Run(c.name+"/"+kind, func(b *testing.B) { run(b, data, c.agents) })
		}
	}
}

// run calls the agents with the message repeatedly, within one session.
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
