package queue_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// Mail for a domain waits until its mail servers are back.
func ExampleQueue_Suspend() {
	q := &queue.Queue{Store: new(memory.Store), Deliverer: printer{}}
	ctx := queue.WithOperator(context.Background(), "alice", "example.net moves to another data center")
	_, err := q.Suspend(ctx, queue.Suspension{Domain: "example.net", Until: time.Now().Add(4 * time.Hour)})
	if err != nil {
		fmt.Println(err)
	}
	all, err := q.Suspensions(ctx)
	if err != nil {
		fmt.Println(err)
	}
	for _, s := range all {
		fmt.Printf("%s: %s (%s)\n", &s, s.Reason, s.By)
	}
	// It is over early.
	if err := q.Lift(ctx, queue.Suspension{Domain: "example.net"}); err != nil {
		fmt.Println(err)
	}
	// Output: example.net: example.net moves to another data center (alice)
}
