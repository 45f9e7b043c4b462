package queue_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// This program lists the mail for one address in pages of two.
func ExampleQueue_Search() {
	ctx := context.Background()
	q := &queue.Queue{Store: new(memory.Store), Deliverer: printer{}}
	for i := range 3 {
		err := q.Submit(ctx, &queue.Message{
			ID: fmt.Sprintf("m%d", i), From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"),
			Content: queue.String("Subject: Lunch\r\n\r\nAt noon?\r\n"),
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	f := queue.Filter{Recipient: "Bob@example.net"}
	for {
		page, err := q.Search(ctx, f, queue.SearchLimits{Messages: 2})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, m := range page.Messages {
			fmt.Println(m.ID, m.Subject, m.Status)
		}
		if page.Complete {
			break
		}
		fmt.Println("next page")
		f.After = page.Next
	}
	// Output:
	// m0 Lunch ready
	// m1 Lunch ready
	// next page
	// m2 Lunch ready
}

// This program shows how old the mail for each domain is.
func ExampleQueue_Shape() {
	ctx := context.Background()
	q := &queue.Queue{Store: new(memory.Store), Deliverer: printer{}}
	for i, to := range []string{"bob@example.net", "carol@example.net", "dave@example.org"} {
		err := q.Submit(ctx, &queue.Message{
			From: "alice@example.com", Recipients: queue.Rcpt(to), Content: queue.String("Subject: Hello\r\n\r\n"),
			Received: time.Now().Add(-time.Duration(i) * 7 * time.Minute),
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	shape, err := q.Shape(ctx, queue.ShapeOptions{Ages: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(shape.Limits)
	for _, r := range append(shape.Rows, shape.Total) {
		fmt.Println(r.Total, r.Ages, r.Domain)
	}
	// Output:
	// [5m0s 10m0s 20m0s]
	// 2 [1 1 0 0] example.net
	// 1 [0 0 1 0] example.org
	// 3 [1 1 1 0]
}
