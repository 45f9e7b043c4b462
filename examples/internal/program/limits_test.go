package program

import (
	"io"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The settings of limits apply to the receive connectors.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "max-size: 100K", "max-recipients: 1", "max-connections: 2")
	smtptest.Talk(t, w.listen, `
S: 220
C: EHLO client.test
S: 250 SIZE 102400
C: MAIL FROM:<a@example.net> SIZE=102401
S: 552 5.3.4
C: MAIL FROM:<a@example.net>
S: 250
C: RCPT TO:<b@example.com>
S: 250
C: RCPT TO:<c@example.com>
S: 452 4.5.3
C: DATA
S: 354
C: Subject: x
C:
C: .
S: 250
C: QUIT
S: 221
`)
	for range 2 {
		peers.Await(t, "a session", func() bool { // the server may not have seen the end of the first one yet
			c, err := net.Dial("tcp", w.listen)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			greeting := make([]byte, 3)
			if _, err := io.ReadFull(c, greeting); err != nil {
				t.Fatal(err)
			}
			return string(greeting) == "220"
		})
	}
	smtptest.Talk(t, w.listen, "S: 421 4.7.0\nEOF")
	w.p.Stop(t)
}

// The limits by address, which do not apply to loopback clients, and the settings of
// reports and retries reach the parts of the relay.
func TestSettingsOfParts(t *testing.T) {
	p := &Program{Name: "office", New: func() Gateway { return new(office) }}
	relay, err := p.Assemble("-spool", t.TempDir(), "-hostname", "relay.example.com", "-server", "192.0.2.1", "-domains", writeFile(t, "example.com\n"),
		"-rate", "7", "-max-per-client", "3", "-expire", "24h", "-delay-notice", "2h", "-postmaster", "a@example.com,b@example.com",
		"-report-from", "reports@example.com", "-bad-mail", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if l := relay.Listeners[0].Server.Limits; l.MessageRate != 7 || l.ConnectionsPerAddr != 3 {
		t.Errorf("%+v", l)
	}
	q := relay.Queue
	if retry := (queue.Retry{Expiry: 24 * time.Hour, DelayNotice: 2 * time.Hour}); !reflect.DeepEqual(q.Retry, retry) || q.BadMail == nil {
		t.Errorf("%+v, bad mail %v", q.Retry, q.BadMail != nil)
	}
	if r := q.Reports; r.From != "reports@example.com" || !slices.Equal(r.CopyTo, []string{"a@example.com", "b@example.com"}) {
		t.Errorf("%+v", r)
	}
}
