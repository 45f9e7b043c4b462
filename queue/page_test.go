package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// readCounter counts the messages that are read.
type readCounter struct {
	*memory.Store
	read int
}

func (s *readCounter) Get(ctx context.Context, id string) (*queue.Message, error) {
	s.read++
	return s.Store.Get(ctx, id)
}

// A page of the messages for one hop reads that page, and none of the messages in the
// backlog of another hop, however many they are. Messages that wait for several hops
// are in it.
func TestPageOfOneHop(t *testing.T) {
	s := &readCounter{Store: new(memory.Store)}
	defer s.Close()
	route := func(r *queue.Recipient) queue.NextHop { return r.Route }
	few, many := queue.NextHop{Destination: "few.example"}, queue.NextHop{Destination: "many.example"}
	put := func(id string, stored queue.NextHop, hops ...queue.NextHop) {
		m := &queue.Message{ID: id, From: "a@example.com", Content: queue.String("Subject: x\r\n\r\n"), Received: time.Now()}
		for i, hop := range hops {
			r := queue.Rcpt(fmt.Sprintf("b%d@example.net", i))[0]
			r.Route = hop
			m.Recipients = append(m.Recipients, r)
		}
		if err := s.Put(context.Background(), m, queue.Schedule{Due: time.Now().Add(time.Hour), Hop: stored}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3000 {
		put(fmt.Sprintf("%04d", i), many, many)
		if i%100 == 0 {
			put(fmt.Sprintf("%04d-few", i), few, few)
		}
	}
	put("0150-both", queue.NextHop{}, few, many)
	q := &queue.Queue{Store: s, Deliverer: routes{route}, Hostname: "relay.example.com"}
	var got []string
	for after, n := "", 0; n < 2; n++ { // two pages of three
		i := 0
		for m, err := range q.Messages(context.Background(), queue.Filter{Hop: &few, After: after}) {
			if err != nil {
				t.Fatal(err)
			}
			got, after = append(got, m.ID), m.ID
			if i++; i == 3 {
				break
			}
		}
	}
	if want := "[0000-few 0100-few 0150-both 0200-few 0300-few 0400-few]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if s.read != 6 {
		t.Errorf("%d messages were read for two pages of three", s.read)
	}
}

type routes struct {
	route func(*queue.Recipient) queue.NextHop
}

func (r routes) Route(_ context.Context, _ *queue.Message, rcpt *queue.Recipient) (queue.NextHop, error) {
	return r.route(rcpt), nil
}

func (routes) Deliver(context.Context, queue.NextHop, *queue.Message, []*queue.Recipient) []queue.Result {
	return nil
}
