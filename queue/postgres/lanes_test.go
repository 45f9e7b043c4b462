package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

// While this node waits for an answer about where a lane begins, it writes a row that is
// not in the answer. The lane begins there.
func TestRowWrittenBeforeTheAnswerIsUsed(t *testing.T) {
	for _, found := range []bool{true, false} {
		var l lanes
		k := lane{hop: 1}
		l.wrote(k.hop, k.prio, 10, "claimed")
		l.left(k.hop)
		w := l.watch()
		old := l.inexact(1)[0]
		l.wrote(k.hop, k.prio, 20, "written")
		l.moved(w, k, old.position, begin{position{30, "found"}, true}, found)
		l.unwatch(w)
		if ready, ok := l.first(&selection{}); !ok || ready != 20 {
			t.Errorf("found %v: the lane begins at %d, %v, want 20", found, ready, ok)
		}
		if len(l.watches) > 0 {
			t.Error("the watch goes on")
		}
	}
}

// Messages are freed while a scan is in progress, which may not find them. Another scan is
// due.
func TestMessagesFreedDuringAScan(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Database(t), nil)
	fill(t, s, 1, hopA, "a", time.Now())
	s.hops.forget()
	tx := s.hops.tx
	s.hops.tx = func(ctx context.Context, add func(*pgx.Batch)) error {
		s.lanes.forget() // as a takeover does
		return tx(ctx, add)
	}
	if err := s.scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !s.lanes.scanDue(false) {
		t.Error("no scan is due")
	}
	s.hops.tx = tx
	if err := s.scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.lanes.scanDue(false) {
		t.Error("a scan is due after the next one")
	}
}
