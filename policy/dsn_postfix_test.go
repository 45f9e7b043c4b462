//go:build unix

package policy

import (
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A real Postfix whose user asks for a success report delivers through a relay
// that does not know it. It sees no DSN keyword, so it gives no parameters, and
// sends the report itself ("relayed", RFC 3461, 5.2.2). Where the keyword is
// announced, it passes the parameters on.
func TestDSNOfPostfix(t *testing.T) {
	for _, open := range []bool{false, true} {
		out := new(outbox)
		srv := &smtpserver.Server{Hostname: "relay.example.com"}
		g := &Gate{Domains: []Domain{{Name: "example.com"}}, Queue: out, DSNForEveryone: open}
		if err := g.Install(srv); err != nil {
			t.Fatal(err)
		}
		relay := smtptest.NewServer(t, srv)
		host, port, err := net.SplitHostPort(relay.Addr)
		if err != nil {
			t.Fatal(err)
		}
		postfix := (&peers.Postfix{Domains: "sender.example", Main: "relayhost = [" + host + "]:" + port + "\n"}).Start(t)
		smtptest.Talk(t, postfix.Addr, `
			S: 220
			C: EHLO client.example
			S: 250 DSN
			C: MAIL FROM:<alice@sender.example>
			S: 250
			C: RCPT TO:<bob@example.com> NOTIFY=SUCCESS
			S: 250
		`+body+`
			S: 250
			C: QUIT
			S: 221
		`)
		if open {
			peers.Await(t, "the message", func() bool {
				out.mu.Lock()
				defer out.mu.Unlock()
				return len(out.messages) > 0
			})
			if n := out.only(t).Recipients[0].Options.Notify; len(n) != 1 || n[0] != "SUCCESS" {
				t.Errorf("Postfix has passed on %v", n)
			}
			continue
		}
		if report := postfix.Next(t); !strings.Contains(report, "\nAction: relayed") {
			t.Errorf("Postfix has reported:\n%s", report)
		}
		if n := out.only(t).Recipients[0].Options.Notify; len(n) != 0 {
			t.Errorf("Postfix has given %v", n)
		}
	}
}
