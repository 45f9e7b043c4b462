package spool_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

func Example() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := spool.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	m := &queue.Message{
		ID: "1", From: "a@example.org", Recipients: queue.Rcpt("b@example.net"),
		Content: queue.String("Subject: hello\r\n\r\n"), Received: time.Now(),
	}
	if err := store.Put(context.Background(), m, queue.Schedule{}); err != nil {
		log.Fatal(err)
	}
	// Now the client can get 250: the message survives the end of the process.
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}
	store, err = spool.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Recovery().Messages, "message recovered")
	// Output: 1 message recovered
}

func ExampleInspect() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := spool.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	m := &queue.Message{ID: "1", Recipients: queue.Rcpt("b@example.net"), Content: queue.String("Subject: hello\r\n\r\n")}
	if err := store.Put(context.Background(), m, queue.Schedule{}); err != nil {
		log.Fatal(err)
	}

	view, err := spool.Inspect(dir) // the relay may use the spool at the same time
	if err != nil {
		log.Fatal(err)
	}
	defer view.Close()
	for e, err := range view.List(context.Background(), queue.Query{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.ID, e.Size, "bytes")
	}
	damaged, err := view.Verify(context.Background())
	fmt.Println(len(damaged), "damaged", err)
	// Output:
	// 1 18 bytes
	// 0 damaged <nil>
}
