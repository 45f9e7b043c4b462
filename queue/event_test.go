package queue_test

import (
	"testing"
	"testing/synctest"
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
