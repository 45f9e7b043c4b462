package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A subscriber that does not read loses events and can see how many. The Queue
// does not wait for it.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		synctest.Wait()
		s := w.q.Subscribe(3)
		for range 10 {
			w.submit("alice@example.com", "bob@example.net")
		}
		if c := w.took(); len(c) != 10 {
			t.Errorf("%d delivered", len(c))
		}
		if len(s.C) != 3 || s.Dropped() != 17 { // each message is received and sent
			t.Errorf("%d events, %d dropped", len(s.C), s.Dropped())
		}
		s.Close()
		s.Close()
		w.submit("alice@example.com", "bob@example.net")
		w.took()
		if s.Dropped() != 17 {
			t.Error("a closed subscription is still open")
		}
	})
}

// Subscriptions get the events of other parts of the relay too. A full one does not
// delay them.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := new(queue.Queue)
		q.Record(queue.Event{Kind: queue.EventReject}) // without a subscription
		s := q.Subscribe(2)
		defer s.Close()
		q.Record(queue.Event{Kind: queue.EventReject, ID: "m1"})
		at := time.Now().Add(-time.Hour)
		q.Record(queue.Event{Kind: queue.EventDrop, Time: at})
		q.Record(queue.Event{Kind: queue.EventQuarantine})
		first, second := <-s.C, <-s.C
		if first.ID != "m1" || !first.Time.Equal(time.Now()) || !second.Time.Equal(at) || s.Dropped() != 1 {
			t.Errorf("%+v, %+v, %d dropped", first, second, s.Dropped())
		}
	})
}

// The numbers are those of Exchange 2003.
func TestNumbersOfFilters(t *testing.T) {
	for want, e := range map[int]queue.Event{
		1020: {Kind: queue.EventTransfer}, 1039: {Kind: queue.EventDrop, ID: "m1"}, 1040: {Kind: queue.EventReject, ID: "m1"},
		1041: {Kind: queue.EventQuarantine, ID: "m1"}, 0: {Kind: queue.EventReject},
	} {
		if got := e.Number(); got != want {
			t.Errorf("%v: %d, want %d", e.Kind, got, want)
		}
	}
}
