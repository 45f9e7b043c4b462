package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The rules of queue.Walker.
const (
	walksAll   = "Walk calls f with the entry of each stored message, as List has it"
	walkEnds   = "Walk returns the error of ctx if it has ended"
	walkClosed = "Walk returns ErrClosed after Close"
)

// walk tests a store that is a Walker.
func walk(t *testing.T, f *fixture) {
	st, ok := f.st.(queue.Walker)
	if !ok {
		return
	}
	same := func() {
		t.Helper()
		var got, want []string
		describe := func(e *queue.Entry) string {
			if e.ID = ""; e.Schedule.Hop.Destination != queue.BadMailQueue {
				e.Schedule.Hop = queue.NextHop{} // Walk need not set them
			}
			e.Schedule.Due, e.Schedule.Until, e.Received = e.Schedule.Due.UTC(), e.Schedule.Until.UTC(), e.Received.UTC()
			return fmt.Sprintf("%+v", *e)
		}
		if err := st.Walk(t.Context(), func(e *queue.Entry) { c := *e; got = append(got, describe(&c)) }); err != nil {
			t.Errorf("%s: %v", walksAll, err)
		}
		for e, err := range f.st.List(t.Context(), queue.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			e.Attempted = f.get(e.ID).Recipients[0].Attempts > 0
			want = append(want, describe(e))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", walksAll, got, want)
		}
	}
	same()
	for i := range 10 {
		m := message(fmt.Sprint("m", i))
		m.Options.Priority, m.Recipients[0].Attempts = i-5, i%2
		f.put(m, queue.Schedule{Hop: [...]queue.NextHop{hopA, hopB, {Destination: queue.BadMailQueue}}[i%3], Due: at(time.Duration(i) * time.Minute), Wait: time.Duration(i%2) * time.Hour})
	}
	same()
	for _, m := range f.claim(queue.Claim{Owner: "a", Until: at(lease), Now: at(time.Hour), Max: 3}) {
		if err := f.st.Remove(t.Context(), "a", m.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.claim(queue.Claim{Owner: "b", Until: at(lease), Now: at(time.Hour), Max: 2})
	same()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Walk(ended, func(*queue.Entry) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("%s: %v", walkEnds, err)
	}
	if err := f.st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.Walk(t.Context(), func(*queue.Entry) {}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("%s: %v", walkClosed, err)
	}
}
