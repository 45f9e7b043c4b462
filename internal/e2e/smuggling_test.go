package e2e

import (
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Old versions of go-smtp read the content of a refused message as commands. A
// stranger cannot use this to send a second message, hidden in the content of the
// first, to an internal server.
func TestNoSmugglingPastTheRelay(t *testing.T) {
	for _, version := range peers.GoSMTPVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			inside := peers.GoSMTP(t, version)
			r := startRelay(t, relayConfig{smartHost: inside.Addrs[0]})
			c, err := smtp.Dial(r.addr)
			must(t, err)
			defer c.Close()
			const inner = "RSET\r\nMAIL FROM:<ceo@example.net>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\npay\r\n.\r\n"
			// With one recipient, the Received field has one more line.
			for _, to := range [][]string{{"nobody@example.net"}, {"nobody@example.net", "Nobody@example.net"}, {"nobody@example.net", "known@example.net"}} {
				must(t, c.Mail("mallory@elsewhere.example"))
				for _, rcpt := range to {
					must(t, c.Rcpt(rcpt))
				}
				w, err := c.Data()
				must(t, err)
				_, err = w.Write([]byte(inner))
				must(t, err)
				must(t, w.Close())
			}
			await(t, time.Minute, "the final state of the messages", func() bool { return r.waiting(t) == 0 })
			await(t, time.Minute, "the known recipient's message", func() bool { return strings.Contains(inside.Log(), "to=known@example.net") })
			if log := inside.Log(); strings.Contains(log, "from=ceo@") || strings.Contains(log, "to=victim") {
				t.Errorf("the inner message arrived:\n%s", log)
			}
		})
	}
}
