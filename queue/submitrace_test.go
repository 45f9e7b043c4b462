package queue_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Submit does not write to a message that the Queue may already deliver. The race
// detector finds it if it does.
func TestSubmitLeavesTheMessageAlone(t *testing.T) {
	w := newWorld(t, nil)
	var seen atomic.Int32
	all := make(chan struct{})
	w.q.Deliverer = &reporting{w, func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
		if c := *m; c.From == "alice@example.com" && seen.Add(1) == 200 {
			close(all)
		}
		return []queue.Result{ok}
	}}
	w.run()
	defer w.shutdown()
	for range 200 {
		w.submit("alice@example.com", "bob@example.net")
	}
	<-all
}
