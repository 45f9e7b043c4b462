package console

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// BenchmarkPages measures the pages of a relay with 100,000 messages for 10,000
// next hops.
func BenchmarkPages(b *testing.B) {
	const hops, each = 10_000, 10
	store := &memory.Store{}
	content := queue.String("Subject: Lunch\r\n\r\nAt noon?\r\n")
	due := time.Now().Add(time.Hour)
	for i := range hops * each {
		hop := queue.NextHop{Connector: "internet", Destination: fmt.Sprintf("host%d.example", i%hops)}
		m := &queue.Message{ID: fmt.Sprintf("%08d", i), From: fmt.Sprintf("alice%d@example.com", i), Recipients: queue.Rcpt("bob@" + hop.Destination), Content: content, Received: time.Now()}
		if err := store.Put(b.Context(), m, queue.Schedule{Hop: hop, Due: due, Wait: time.Hour}); err != nil {
			b.Fatal(err)
		}
	}
	c := &Console{Gateway: &gateway.Gateway{Queue: &queue.Queue{Store: store, Deliverer: deliverer{}}}, Authorize: asOperator}
	for _, path := range []string{
		"/overview", "/queues", "/queues?sort=messages", "/queues/internet:host7.example", "/age", "/messages", "/messages?recipient=bob@host7.example",
		"/messages?sender=alice77@example.com", "/messages?status=retry", "/messages?queue=internet:host7.example", "/messages/00000077",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				r := httpGet(path)
				r.Header.Set("Accept", "text/html")
				answer := httptest.NewRecorder()
				if c.ServeHTTP(answer, r); answer.Code != 200 {
					b.Fatal(answer.Code, answer.Body)
				}
			}
		})
	}
}
