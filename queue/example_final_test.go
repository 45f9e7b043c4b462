package queue_test

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// An application keeps a table of the delivery results. It must be prepared to
// get a result twice, so the message and the recipient are the key of the table.
func ExampleQueue_finalResults() {
	type key struct{ id, recipient string }
	results := map[key]string{} // an SQL table, in a real application

	table, err := routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"}, Transport: routing.TransportFunc(
		func(_ context.Context, j *routing.Job) []queue.Result { return refuse(j, "No such user") })})
	if err != nil {
		fmt.Println(err)
		return
	}
	q := &queue.Queue{
		Store:     new(memory.Store),
		Deliverer: &routing.Router{Table: table, Hostname: "app.example.com"},
		Hostname:  "app.example.com",
		FinalResults: func(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) error {
			for _, r := range rcpts {
				results[key{m.ID, r.Addr}] = fmt.Sprintf("%s: %d %s", r.Status, r.Last.Reply.Code, r.Last.Reply.Message)
			}
			return nil // an error means: call again later
		},
	}
	go q.Run(context.Background())
	m := &queue.Message{
		ID:         "order-4711",
		Recipients: queue.Rcpt("bob@example.net"),
		Content:    queue.String("From: hello@app.example.com\r\nSubject: Order 4711\r\n\r\nThank you.\r\n"),
	}
	if err := q.Submit(context.Background(), m); err != nil {
		fmt.Println(err)
		return
	}
	q.Drain(context.Background())
	q.Shutdown(context.Background())
	fmt.Println(results[key{m.ID, "bob@example.net"}])
	// Output: failed: 550 No such user
}
