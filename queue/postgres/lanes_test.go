package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A queue has more lanes than a node keeps in memory, and those that it knows first may not
// be claimed. The others get their turn.
func TestMoreLanesThanMemory(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	const hops = 25
	s.lanes.most = 10
	c := nowClaim("o", 1)
	c.Except = make(map[queue.NextHop]bool)
	for i := range hops {
		hop := queue.NextHop{Connector: "c", Destination: fmt.Sprintf("%02d.example", i)}
		fill(t, s, 1, hop, hop.Destination, time.Now().Add(-time.Hour))
		c.Except[hop] = true
	}
	for hop := range c.Except {
		delete(c.Except, hop) // this hop only
		found := false
		for range 3 { // scans: 10, 10 and 5 lanes
			s.lanes.forget()
			if next, err := s.Next(t.Context(), c); err != nil || next.IsZero() || next.After(c.Now.Add(scanInterval)) {
				t.Errorf("Next: %v, %v, want the time of the next scan or earlier", next, err)
			}
			if found = len(claimed(t, s, c)) == 1; found {
				break
			}
		}
		if !found {
			t.Errorf("the message for %s was not found", hop.Destination)
		}
		c.Except[hop] = true
		if len(s.lanes.begins) > s.lanes.most {
			t.Errorf("%d lanes are in memory", len(s.lanes.begins))
		}
	}
}
