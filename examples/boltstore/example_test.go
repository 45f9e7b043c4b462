package boltstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/examples/boltstore"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A printer is a Deliverer that prints the recipients.
type printer struct{ delivered chan struct{} }

func (printer) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Destination: "printer"}, nil
}

func (p printer) Deliver(_ context.Context, _ queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		fmt.Println(m.From, "to", r.Addr)
		results[i] = queue.Done()
	}
	close(p.delivered)
	return results
}

// A Queue keeps its messages in the database.
func Example() {
	dir, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := boltstore.Open(filepath.Join(dir, "queue.db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	p := printer{make(chan struct{})}
	q := &queue.Queue{Store: store, Deliverer: p}
	ended := make(chan error)
	go func() { ended <- q.Run(context.Background()) }()
	err = q.Submit(context.Background(), &queue.Message{
		From:       "alice@example.com",
		Recipients: queue.Rcpt("bob@example.net"),
		Content:    queue.String("Subject: Hello\r\n\r\nHello.\r\n"),
	})
	if err != nil {
		log.Fatal(err)
	}
	<-p.delivered
	if err := q.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	<-ended
	left := 0
	for range store.List(context.Background(), queue.Query{}) {
		left++
	}
	fmt.Println(left, "messages in the store")
	// Output:
	// alice@example.com to bob@example.net
	// 0 messages in the store
}
