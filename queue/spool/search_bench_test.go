package spool

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// BenchmarkMillionSearch fills a spool with 1,000,000 messages in 100,000 next hops and
// measures the views of a console: one page, one count or one table for each operation.
// One message in a thousand is suspended or bad mail, one in 100 waits for its first
// attempt, and the others for their next one. Half of them are from one sender.
func BenchmarkMillionSearch(b *testing.B) {
	const n, hops = 1_000_000, 100_000
	dir := b.TempDir()
	s, err := Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	before := heap()
	begun := time.Now()
	fillHops(b, s, n, hops)
	b.Logf("%d B/message", (heap()-before)/n)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if s, err = Open(dir, nil); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.Logf("Open: %v", time.Since(begin))
	q := &queue.Queue{Store: s, Deliverer: noDeliverer{}, Hostname: "relay.example.com"}
	ctx := context.Background()

	hop := queue.NextHop{Connector: "internet", Destination: "hop77777.example"}
	bad := queue.NextHop{Destination: queue.BadMailQueue}
	after := fmt.Sprintf("m%09d", n/2)
	for name, f := range map[string]queue.Filter{
		"all":                {},
		"all/middle":         {After: after},
		"recipient":          {Recipient: "user777777@domain77777.example"},
		"recipient/none":     {Recipient: "unknown@domain77777.example"},
		"sender/10":          {From: "sender7777@example.org"},
		"sender/half":        {From: "newsletter@example.org", After: after},
		"ready":              {Status: queue.MessageReady, After: after},
		"retry":              {Status: queue.MessageRetry, After: after},
		"held/none":          {Status: queue.MessageHeld},
		"suspended":          {Status: queue.MessageSuspended},
		"bad mail":           {Hop: &bad},
		"poison/none":        {Status: queue.MessagePoison},
		"active/none":        {Status: queue.MessageActive},
		"hop":                {Hop: &hop, Status: queue.MessageRetry},
		"hop/any status":     {Hop: &hop},
		"last minute":        {Since: begun.Add(-time.Minute)},
		"second of n":        {Since: begun.Add(-2000 * time.Second), Before: begun.Add(-1999 * time.Second)},
		"size/none":          {MinSize: 1 << 20},
		"two exact":          {From: "newsletter@example.org", Recipient: "user777777@domain77777.example"},
		"sender and status":  {From: "newsletter@example.org", Status: queue.MessageReady},
		"status and no size": {Status: queue.MessageReady, MinSize: 1 << 20},
	} {
		b.Run("search="+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := q.Search(ctx, f, queue.SearchLimits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("count="+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := q.Count(ctx, f, queue.SearchLimits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("part of a subject", func(b *testing.B) {
		for b.Loop() {
			if _, err := q.Search(ctx, queue.Filter{Subject: "*nothing*"}, queue.SearchLimits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, o := range map[string]queue.ShapeOptions{"recipients": {}, "senders": {Senders: true}, "parents": {Parents: true}, "hop": {Hop: &hop}} {
		b.Run("shape="+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := q.Shape(ctx, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("queues", func(b *testing.B) {
		for b.Loop() {
			if qs, err := q.Queues(ctx); err != nil || len(qs) < hops-1000 { // some have only suspended or bad mail
				b.Fatal(len(qs), err)
			}
		}
	})
	for name, o := range map[string]queue.QueueOrder{"name": queue.ByName, "messages": queue.ByMessages, "oldest": queue.ByOldest} {
		b.Run("queue page by "+name, func(b *testing.B) {
			for b.Loop() {
				if page, _, err := q.QueuePage(ctx, queue.QueueQuery{Order: o}); err != nil || len(page) != 100 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
	b.Run("totals", func(b *testing.B) { // without the result of the last call
		for b.Loop() {
			q := &queue.Queue{Store: s, Deliverer: noDeliverer{}, Hostname: "relay.example.com"}
			if t, err := q.Totals(ctx); err != nil || t.Ages.Count < n*99/100 {
				b.Fatal(t, err)
			}
		}
	})
	b.Run("Hops", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Hops(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// fillHops puts n messages for a number of hops.
func fillHops(b *testing.B, s *Spool, n, hops int) {
	now := time.Now()
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := w; i < n; i += 100 {
				m := benchMessage(fmt.Sprintf("m%09d", i), []byte("Subject: test\r\n\r\nHello\r\n"))
				m.Recipients = queue.Rcpt(fmt.Sprintf("user%d@domain%d.example", i, i%hops))
				m.Received = now.Add(-time.Duration(n-i) * time.Millisecond * 10)
				if m.From = "newsletter@example.org"; i%2 == 0 {
					m.From = fmt.Sprintf("sender%d@example.org", i%100_000)
				}
				sch := queue.Schedule{Due: now.Add(time.Hour), Wait: time.Hour, Hop: queue.NextHop{Connector: "internet", Destination: fmt.Sprintf("hop%d.example", i%hops)}}
				switch {
				case i%1000 == 0:
					sch = queue.Schedule{Due: now.AddDate(100, 0, 0), Hop: queue.NextHop{Destination: queue.SuspendedQueue}}
				case i%1000 == 1:
					sch = queue.Schedule{Due: now.AddDate(100, 0, 0), Hop: queue.NextHop{Destination: queue.BadMailQueue}}
				case i%100 != 2:
					m.Recipients[0].Attempts = 1
				}
				if err := s.Put(context.Background(), m, sch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// A noDeliverer routes all mail to one hop.
type noDeliverer struct{}

func (noDeliverer) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "internet", Destination: "elsewhere.example"}, nil
}

func (noDeliverer) Deliver(context.Context, queue.NextHop, *queue.Message, []*queue.Recipient) []queue.Result {
	return nil
}
