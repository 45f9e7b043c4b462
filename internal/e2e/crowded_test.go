package e2e

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A next hop that accepts few connections gets only a few more, also with a
// complete relay.
func TestCrowdedNextHop(t *testing.T) {
	const messages = 400
	var refused atomic.Int64
	var next *sink
	ready := make(chan bool)
	next = newFaultySink(t, func(stage, _ string) string {
		<-ready
		switch stage {
		case "connect":
			next.mu.Lock()
			defer next.mu.Unlock()
			if len(next.conns) > 3 {
				refused.Add(1)
				return "421 4.7.0 too many connections"
			}
		case "EHLO", "dot":
			time.Sleep(5 * time.Millisecond)
		}
		return ""
	})
	close(ready)
	r := startRelay(t, relayConfig{smartHost: next.addr, retry: queue.Retry{Intervals: []time.Duration{time.Second}}})
	submit := func(n int) {
		for i := range n {
			m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt(fmt.Sprintf("bob%d@example.net", i)), Content: queue.String("Subject: x\r\n\r\nx\r\n")}
			must(t, r.queue.Submit(context.Background(), m))
		}
	}
	submit(100)
	await(t, time.Minute, "the first messages", func() bool { return r.waiting(t) == 0 })
	before := refused.Load()
	submit(messages)
	await(t, time.Minute, "all messages", func() bool { return r.waiting(t) == 0 })
	n := refused.Load() - before
	t.Logf("%d connections were refused for the first 100 messages, %d for %d more", before, n, messages)
	if n > messages/10 {
		t.Errorf("%d connections were refused for %d messages", n, messages)
	}
	if got := len(next.received()); got != 100+messages {
		t.Errorf("%d messages arrived, want %d", got, 100+messages)
	}
}
