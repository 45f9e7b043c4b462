package sched

import (
	"testing"
	"time"
)

// A congested hop that answers, dies and answers again, while its connector has
// no room, is in each list once: the lists have a bound.
func TestCongestedHopIsListedOnce(t *testing.T) {
	s := New(Limits{Active: 20, Deliveries: 8})
	h := s.hopFor(time.Unix(0, 0), Key{Connector: "out", Destination: "h"}, HopLimits{Active: 5})
	h.connector.queued, h.connector.trials = 40, 20 // no room for hops of either kind
	s.congest(h)
	for i := range 100 {
		s.setAnswers(h, i%2 == 0)
	}
	for kind, l := range h.connector.crowded {
		if len(l.hops) != 1 {
			t.Errorf("the hop is in the list of kind %d %d times", kind, len(l.hops))
		}
	}
	h.connector.queued, h.connector.trials = 0, 0
	s.release(h.connector)
	if h.congested || s.held[h.Key] {
		t.Error("there is room, and the hop is still congested")
	}
}
