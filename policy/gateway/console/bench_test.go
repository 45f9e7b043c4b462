package console

import (
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// BenchmarkPages measures the pages of a relay with 100,000 messages for 10,000
// next hops. With BRIDGEHEAD_MILLION=1 it has 1,000,000 messages for 100,000 next
// hops, in a spool.
func BenchmarkPages(b *testing.B) {
	hops, each := 10_000, 10
	var store queue.Store = &memory.Store{}
	if os.Getenv("BRIDGEHEAD_MILLION") == "1" {
		hops = 100_000
		s, err := spool.Open(b.TempDir(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		store = s
	}
	content := queue.String("Subject: Lunch\r\n\r\nAt noon?\r\n")
	due := time.Now().Add(time.Hour)
	fill := func(i int) {
		hop := queue.NextHop{Connector: "internet", Destination: fmt.Sprintf("host%d.example", i%hops)}
		m := &queue.Message{ID: fmt.Sprintf("%08d", i), From: fmt.Sprintf("alice%d@example.com", i), Recipients: queue.Rcpt("bob@" + hop.Destination), Content: content, Received: time.Now()}
		if err := store.Put(b.Context(), m, queue.Schedule{Hop: hop, Due: due, Wait: time.Hour}); err != nil {
			b.Error(err)
		}
	}
	var writers errgroup.Group // concurrent, so that they share the commits of the spool
	writers.SetLimit(500)
	for i := range hops * each {
		writers.Go(func() error { fill(i); return nil })
	}
	writers.Wait()
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
