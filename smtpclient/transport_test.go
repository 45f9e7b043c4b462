package smtpclient

import (
	"testing"
	"testing/synctest"
)

// ehlo is the beginning of a session with a host that has PIPELINING.
const ehlo = `
S: 220 mx ESMTP
C: EHLO relay.example
S: 250-mx greets relay.example
S: 250-PIPELINING
S: 250 ENHANCEDSTATUSCODES
`

// one is a whole transaction for b@example.net.
const one = `
C: MAIL FROM:<a@example.com>
C: RCPT TO:<b@example.net>
C: DATA
S: 250 2.1.0 ok
S: 250 2.1.5 ok
S: 354 go ahead
C: <content>
S: 250 2.0.0 queued
`

const quit = `
C: QUIT
C: <eof>
`

func TestSendPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+quit)
		rs := n.transport().Send(t.Context(), to("192.0.2.1:25"), mail("Subject: x\r\n\r\n.dot\r\nend\r\n", "b@example.net"))
		expect(t, rs, "success 250 2.0.0 queued [mx1.example.net]")
		if got, want := n.content[0], "Subject: x\r\n\r\n..dot\r\nend\r\n"; got != want {
			t.Errorf("content %q, want %q", got, want)
		}
	})
}
