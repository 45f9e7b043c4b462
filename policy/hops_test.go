package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// delivered records the senders of the delivered messages.
type delivered []string

func (d *delivered) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "c", Destination: "d"}, nil
}

func (d *delivered) Deliver(_ context.Context, _ queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	*d = append(*d, m.From)
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Success
	}
	return results
}

// A message that was accepted with 250 is never bounced because of its hops,
// for all limits of the server and of the queue.
func TestHopsOfServerAndQueue(t *testing.T) {
	for _, server := range []int{0, 5, 100, -1} {
		for _, inQueue := range []int{0, 3, 100} {
			for _, n := range []int{0, 4, 5, 6, 29, 30, 31, 60, 100, 101} {
				most := server
				if server == 0 {
					most = 30
				}
				want := "250"
				if server >= 0 && n > most {
					want = "554 5.4.6"
				}
				synctest.Test(t, func(t *testing.T) {
					var out delivered
					q := &queue.Queue{Store: new(memory.Store), Deliverer: &out, Hostname: "relay.example.com", Limits: queue.Limits{Received: inQueue}}
					srv := &smtpserver.Server{Hostname: "relay.example.com", Limits: smtpserver.Limits{Hops: server}}
					if err := (&Gate{Domains: []Domain{{Name: "example.com"}}, Queue: q}).Install(srv); err != nil {
						t.Fatal(err)
					}
					s := policytest.New(t, srv)
					ended := make(chan error, 1)
					go func() { ended <- q.Run(context.Background()) }()
					s.Talk(t, stranger, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\nR: "+
						fmt.Sprintf("%q", strings.Repeat("Received: from a by b; Sat, 28 Nov 2026 11:00:00 +0000\r\n", n)+"Subject: x\r\n\r\nx\r\n.\r\n")+"\nS: "+want)
					synctest.Wait()
					if err := q.Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
					<-ended
					if want == "250" && (len(out) != 1 || out[0] != "x@example.net") || want != "250" && len(out) > 0 {
						t.Errorf("limits %d and %d, %d fields: %s, and delivered from %q", server, inQueue, n, want, out)
					}
				})
			}
		}
	}
}
