package queue_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// transfers is a Deliverer that says when a transfer begins.
type transfers struct{}

func (transfers) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "internet", Destination: "example.net"}, nil
}

func (transfers) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	queue.Transfer(ctx, rcpts[:1], "mx.example.net", "192.0.2.25", "TLS1.3")
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Success
	}
	return results
}

// The event of a transfer comes before that of its result. Outside a Deliver call,
// Transfer has no effect.
func TestTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue{Store: new(memory.Store), Deliverer: transfers{}}
		events := q.Subscribe(0)
		ended := make(chan error, 1)
		go func() { ended <- q.Run(context.Background()) }()
		synctest.Wait() // the Queue delivers: the message becomes active in Submit
		m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net", "carol@example.net"), Content: queue.String("Subject: Lunch\r\n\r\n")}
		if err := q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		queue.Transfer(context.Background(), m.Recipients, "x", "x", "")
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
		events.Close()
		var kinds []queue.EventKind
		for e := range events.C {
			kinds = append(kinds, e.Kind)
			if e.Kind == queue.EventTransfer && (e.Host != "mx.example.net" || e.Addr != "192.0.2.25" || e.TLS != "TLS1.3" || e.Subject != "Lunch" ||
				e.Hop.Connector != "internet" || len(e.Recipients) != 1 || e.Recipients[0].Addr != "bob@example.net" || e.Number() != 1020) {
				t.Errorf("%+v", e)
			}
		}
		if len(kinds) != 3 || kinds[0] != queue.EventReceive || kinds[1] != queue.EventTransfer || kinds[2] != queue.EventSend {
			t.Errorf("events %v", kinds)
		}
	})
}
