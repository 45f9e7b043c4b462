package milter

import (
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// BenchmarkMessage sends a message of 4 KiB with 12 header fields through a
// server: without an agent, with a milter that answers each packet, and with a
// milter that answers only the commands at which it decides, as most milters
// do.
func BenchmarkMessage(b *testing.B) {
	data := strings.Repeat("X-Field: some value of the usual length, more or less\r\n", 12) + "\r\n" +
		strings.Repeat("A line of text as people write it, of some length.\r\n", 66)
	run := func(b *testing.B, agents ...smtpserver.Agent) {
		c := agenttest.Start(b, agents...).Dial(b)
		b.ReportAllocs()
		for b.Loop() {
			if code, text := c.Send("a@example.org", []string{"b@example.com"}, data); code != 250 {
				b.Fatal(code, text)
			}
		}
		c.Want(221, "QUIT")
	}
	b.Run("none", func(b *testing.B) { run(b) })
	b.Run("replies", func(b *testing.B) {
		c := &Client{Address: startFake(b, &fake{}).addr}
		run(b, c.Agent())
	})
	b.Run("few replies", func(b *testing.B) {
		c := &Client{Address: startFake(b, &fake{steps: gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply | gomilter.OptNoDataReply}).addr}
		run(b, c.Agent())
	})
}
