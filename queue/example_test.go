package queue_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A printer is a Deliverer that prints each recipient. It routes by domain.
type printer struct{ done chan struct{} }

func (p printer) Route(ctx context.Context, m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	_, domain, _ := strings.Cut(r.Addr, "@")
	return queue.NextHop{Connector: "internet", Destination: domain}, nil
}

func (p printer) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		fmt.Println(r.Addr, "over", hop)
		results[i] = queue.Done()
	}
	p.done <- struct{}{}
	return results
}

// This queue has a store in memory and a Deliverer that prints.
func Example() {
	send := printer{make(chan struct{})}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: send}
	ended := make(chan error)
	go func() { ended <- q.Run(context.Background()) }()

	err := q.Submit(context.Background(), &queue.Message{
		From:       "alice@example.com",
		Recipients: queue.Rcpt("bob@example.net", "carol@example.net"),
		Content:    queue.String("Subject: Lunch\r\n\r\nAt noon?\r\n"),
	})
	if err != nil {
		fmt.Println(err)
	}
	<-send.done

	if err := q.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-ended)
	// Output:
	// bob@example.net over example.net via internet
	// carol@example.net over example.net via internet
	// <nil>
}

// This policy has shorter intervals, and even shorter ones after a temporary
// refusal (greylisting). Mail of high priority expires earlier.
func ExampleRetry() {
	r := queue.Retry{
		Intervals: []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour},
		ByClass:   map[queue.Class][]time.Duration{queue.ClassTemporary: {time.Minute, 5 * time.Minute, time.Hour}},
		Jitter:    -1,
		High:      &queue.Lifetime{DelayNotice: time.Hour, Expiry: 4 * time.Hour},
	}
	greylisted := &queue.Result{Host: "mx.example.net", Reply: smtp.SMTPError{Code: 450, Message: "come back later"}}
	for n := 1; n <= 4; n++ {
		fmt.Println(n, r.Wait(n, greylisted), r.Wait(n, &queue.Result{Outcome: queue.Unreachable}))
	}
	fmt.Println(r.Lifetime(&queue.Message{Options: queue.MessageOptions{Priority: 4}}))
	fmt.Println(r.Lifetime(&queue.Message{}))
	// Output:
	// 1 1m0s 5m0s
	// 2 5m0s 15m0s
	// 3 1h0m0s 1h0m0s
	// 4 1h0m0s 1h0m0s
	// 1h0m0s 4h0m0s
	// 12h0m0s 48h0m0s
}

// An operator suspends a message, lists the queue, exports the message and
// removes it.
func ExampleQueue_Do() {
	ctx := context.Background()
	q := &queue.Queue{Store: new(memory.Store), Deliverer: printer{}}
	for i, subject := range []string{"Minutes", "Win a prize"} {
		err := q.Submit(ctx, &queue.Message{
			ID:         fmt.Sprintf("m%d", i),
			From:       "alice@example.com",
			Recipients: queue.Rcpt("bob@example.net"),
			Content:    queue.String("Subject: " + subject + "\r\n\r\n...\r\n"),
		})
		if err != nil {
			fmt.Println(err)
		}
	}

	prizes := queue.Filter{Subject: "*prize*"}
	n, err := q.Do(ctx, prizes, queue.Suspend())
	fmt.Println("suspended", n, err)
	for m, err := range q.Messages(ctx, queue.Filter{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(m.ID, m.Subject, m.Hops, m.Status)
	}
	if err := q.Export(ctx, "m1", crlfStripper{}); err != nil {
		fmt.Println(err)
	}
	n, err = q.Do(ctx, prizes, queue.Remove(false))
	fmt.Println("removed", n, err)
	// Output:
	// suspended 1 <nil>
	// m0 Minutes [example.net via internet] ready
	// m1 Win a prize [example.net via internet] suspended
	// X-Sender: <alice@example.com>
	// X-Receiver: <bob@example.net>
	// X-CreatedBy: Bridgehead
	// X-EndOfInjectedXHeaders: m1
	// Subject: Win a prize
	//
	// ...
	// removed 1 <nil>
}

// A crlfStripper prints with the line ends that Go examples expect.
type crlfStripper struct{}

func (crlfStripper) Write(b []byte) (int, error) {
	_, err := os.Stdout.WriteString(strings.ReplaceAll(string(b), "\r", ""))
	return len(b), err
}

// A subscription receives an event for each thing that happens.
func ExampleQueue_Subscribe() {
	send := printer{make(chan struct{}, 1)}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: send}
	events := q.Subscribe(100)
	ended := make(chan error)
	go func() { ended <- q.Run(context.Background()) }()
	if err := q.Submit(context.Background(), &queue.Message{
		From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("Subject: Lunch\r\n\r\n"),
	}); err != nil {
		fmt.Println(err)
	}
	for range 2 {
		e := <-events.C
		fmt.Println(e.Number(), e.Kind, e.Recipients[0].Addr, e.Subject)
	}
	if err := q.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	<-ended
	events.Close()
	// Unordered output:
	// bob@example.net over example.net via internet
	// 1019 RECEIVE bob@example.net Lunch
	// 1031 SEND bob@example.net Lunch
}

// A hook is called with each message before it is stored. It can refuse or
// change the message. This one expands a mailing list.
func ExampleHook() {
	lists := map[string][]string{"team@example.com": {"bob@example.net", "carol@example.net"}}
	q := &queue.Queue{
		Store:     new(memory.Store),
		Deliverer: printer{},
		Hooks: []queue.Hook{{
			Name: "lists",
			Resolved: func(ctx context.Context, m *queue.Message) error {
				for _, r := range m.Recipients {
					if members := lists[r.Addr]; members != nil {
						if err := m.Expand(r, members...); err != nil {
							return err
						}
					}
				}
				return nil
			},
		}},
	}
	m := &queue.Message{From: "alice@example.com", Recipients: queue.Rcpt("team@example.com"), Content: queue.String("From: alice@example.com\r\n\r\nLunch?\r\n")}
	if err := q.Submit(context.Background(), m); err != nil {
		fmt.Println(err)
	}
	for _, r := range m.Recipients {
		fmt.Println(r.Addr, r.Status == queue.Expanded)
	}
	// Output:
	// team@example.com true
	// bob@example.net false
	// carol@example.net false
}
