package smtpclient

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"
)

// MayFinish is called once for each transaction, at its end. If it returns an error,
// the host does not get the end of data, and no other host gets the message.
func TestMayFinish(t *testing.T) {
	const (
		denied = "deferred 451 4.3.2 delivery was interrupted"
		lmtp   = "C: MAIL FROM:<a@example.com>\nC: RCPT TO:<b@example.net>\nC: RCPT TO:<c@example.net>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n"
		bdat   = binaryHost + firstChunk + "S: 250 80 octets received\nC: <eof>"
		noCRLF = binaryHost + binaryRcpt + "C: BDAT 1\nC: <bytes 1>\nS: 250 1 octet received\nC: <eof>"
	)
	for _, tt := range []struct {
		name   string
		script string
		lmtp   bool
		body   smtp.BodyType
		text   string
		to     []string
		want   string
	}{
		{name: "DATA", script: ehlo + strings.Replace(all, "C: <content>", "C: <nodot>", 1), text: "x\r\n", to: []string{"b@example.net"}, want: denied},
		{name: "LMTP", script: strings.ReplaceAll(ehlo, "EHLO", "LHLO") + lmtp + "C: <nodot>", lmtp: true, text: "x\r\n",
			to: []string{"b@example.net", "c@example.net"}, want: denied + "\n" + denied},
		{name: "BDAT", script: bdat, body: smtp.BodyBinaryMIME, text: trace + binary, to: []string{"b@example.net"}, want: denied},
		{name: "BDAT with a final CRLF", script: noCRLF, body: smtp.BodyBinaryMIME, text: "\x00\x00\x00", to: []string{"b@example.net"}, want: denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", tt.script)
				tr := n.transport()
				tr.LMTP = tt.lmtp
				m := mail(tt.text, tt.to...)
				m.Options.Body = tt.body
				lost, calls := errors.New("the lease is lost"), 0
				type key struct{}
				m.ReplyContext = context.WithValue(t.Context(), key{}, "reply")
				m.MayFinish = func(ctx context.Context) error {
					if calls++; ctx.Value(key{}) != "reply" {
						t.Error("MayFinish did not get the ReplyContext")
					}
					return lost
				}
				results := tr.Send(t.Context(), to("192.0.2.1:25", "192.0.2.2:25"), m)
				expect(t, results, tt.want)
				for i := range results {
					if !errors.Is(results[i].Err, lost) {
						t.Errorf("Err is %v", results[i].Err)
					}
				}
				if calls != 1 || len(n.dialled) != 1 {
					t.Errorf("%d calls, connections to %v", calls, n.dialled)
				}
				tr.Close()
				n.wg.Wait()
			})
		})
	}
}

// A delivery that may finish is not changed by the question.
func TestMayFinishPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+quit)
		n.host("192.0.2.2:25", binaryHost+firstChunk+"S: 250 80 octets received\nC: BDAT 26 LAST\nC: <bytes 26>\nS: 250 2.0.0 queued"+quit)
		for i, addr := range []string{"192.0.2.1:25", "192.0.2.2:25"} {
			tr := n.transport()
			m, calls := mail("x\r\n", "b@example.net"), 0
			if i == 1 {
				m = mail(trace+binary, "b@example.net")
				m.Options.Body = smtp.BodyBinaryMIME
			}
			m.MayFinish = func(context.Context) error { calls++; return nil }
			expect(t, tr.Send(t.Context(), to(addr), m), queued)
			if calls != 1 {
				t.Errorf("%d calls", calls)
			}
			tr.Close()
		}
		n.wg.Wait()
		if got := strings.Join(n.content, "|"); got != "x\r\n|"+trace+"|"+binary {
			t.Errorf("content %q", got)
		}
	})
}
