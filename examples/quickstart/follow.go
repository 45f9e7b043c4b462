package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// follow prints the queue's tracking events until stop is called. For each
// delivery it sends to the channel delivered.
func follow(q *queue.Queue, out *printer) (delivered chan struct{}, stop func()) {
	events := q.Subscribe(0)
	delivered = make(chan struct{}, 1000)
	var following sync.WaitGroup
	following.Go(func() {
		for e := range events.C {
			if text := describe(&e); text != "" {
				out.note("  relay: %s %s", e.ID, text)
			}
			if e.Kind == queue.EventSend {
				select {
				case delivered <- struct{}{}:
				default: // the demo does not read the channel
				}
			}
		}
	})
	return delivered, func() {
		events.Close()
		following.Wait()
	}
}

// describe returns an event in words, or "" for events that are not printed.
func describe(e *queue.Event) string {
	to := make([]string, len(e.Recipients))
	reply := ""
	for i, r := range e.Recipients {
		to[i] = r.Addr
		reply = r.Reply
	}
	rcpts := strings.Join(to, ", ")
	switch e.Kind {
	case queue.EventReceive:
		if e.System {
			return fmt.Sprintf("is a report to %s", rcpts)
		}
		return fmt.Sprintf("from <%s> to %s is safe on disk", e.From, rcpts)
	case queue.EventSend:
		return fmt.Sprintf("delivered to %s at %s (%s): %s", rcpts, e.Host, e.Addr, reply)
	case queue.EventDefer:
		return fmt.Sprintf("to %s will be tried again: %s", rcpts, reply)
	case queue.EventFail:
		return fmt.Sprintf("to %s failed: %s", rcpts, reply)
	case queue.EventDSN:
		return fmt.Sprintf("is reported to <%s> by %s", e.From, e.Reference)
	case queue.EventBadMail, queue.EventPoison:
		return fmt.Sprintf("to %s is set aside: %s", rcpts, e.Text)
	}
	return ""
}
