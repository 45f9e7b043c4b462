package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue/internal/sched"
)

// A changeStore is a RecipientUpdater that notes what it has to record.
type changeStore struct {
	*benchStore
	status []Status // what the store has
}

func (s *changeStore) Update(ctx context.Context, owner string, m *Message, sc Schedule) error {
	s.status = nil
	for _, r := range m.Recipients {
		s.status = append(s.status, r.Status)
	}
	return s.benchStore.Update(ctx, owner, m, sc)
}

func (s *changeStore) UpdateRecipients(ctx context.Context, owner string, m *Message, changed []int, sc Schedule) error {
	if s.err == nil {
		s.b.did = append(s.b.did, fmt.Sprint("change ", changed))
		for _, i := range changed {
			s.status[i] = m.Recipients[i].Status
		}
	}
	return s.err
}

// deliverInParts returns a bench with a message to n recipients, each in a part of its
// own, and a function that ends a part.
func deliverInParts(t *testing.T, n int) (b *bench, s *changeStore, end func(i int, v verdict)) {
	b = newBench(t)
	s = &changeStore{benchStore: b.store}
	b.r.store = s
	m := &Message{From: "alice@example.com"}
	for range n {
		m.Recipients = append(m.Recipients, notified())
	}
	a := b.active(m)
	now := time.Now()
	b.step(func(core *sched.Scheduler) {
		h, _ := core.Way(now, &a.Message, sched.Key{Destination: "example.net"}, sched.HopLimits{Concurrency: 9, Start: 9, Recipients: 1, Active: 9}, sched.Pace{})
		for _, r := range m.Recipients {
			core.Queue(&a.newPart(h, []*Recipient{r}).Part)
		}
		core.Routed(now, &a.Message)
	})
	return b, s, func(i int, v verdict) {
		b.step(func(core *sched.Scheduler) {
			v.r = m.Recipients[i]
			a.apply(&v, now, b.r.clock)
			core.Ended(&a.Message)
		})
		b.record()
	}
}

// The first delivery of a message with several parts records all recipients. Each later
// one records the recipients that have changed since, at once. A failure that is not
// reported yet is recorded as waiting, here too.
func TestProgressRecordsChanges(t *testing.T) {
	b, s, end := deliverInParts(t, 6)
	for i, step := range []struct {
		v    verdict
		want string
	}{
		{toSuccess, "update m"},
		{toSuccess, "change [1]"},
		{toFailure, ""},
		{toWait(false), ""},
		{toSuccess, "change [2 3 4]"},
	} {
		end(i, step.v)
		if got := b.done(); got != step.want {
			t.Errorf("the end of part %d: got %q, want %q", i, got, step.want)
		}
	}
	if got, want := fmt.Sprint(s.status), fmt.Sprint([]Status{Delivered, Delivered, Waiting, Waiting, Delivered, Waiting}); got != want {
		t.Errorf("recorded %v, want %v", got, want)
	}
	end(5, toWait(false))
	if got := b.done(); got != "report failed, report relayed, update m" {
		t.Errorf("at the end: %q", got)
	}
}

// A change that the store could not record is recorded with all other recipients when
// the store works again.
func TestProgressAfterAnError(t *testing.T) {
	b, s, end := deliverInParts(t, 4)
	end(0, toSuccess)
	b.done()
	s.err = errors.New("the disk is full")
	end(1, toSuccess)
	s.err = nil
	b.r.mend()
	if got := b.done(); got != "update m" || b.core.Broken() {
		t.Errorf("got %q, broken %v", got, b.core.Broken())
	}
	if got, want := fmt.Sprint(s.status), fmt.Sprint([]Status{Delivered, Delivered, Waiting, Waiting}); got != want {
		t.Errorf("recorded %v, want %v", got, want)
	}
	end(2, toSuccess)
	if got := b.done(); got != "change [2]" {
		t.Errorf("the next delivery: got %q", got)
	}
}

// The recipients of a message are grouped by next hop in the order of the first one of
// each group, also when there are many hops.
func TestGroups(t *testing.T) {
	for _, hops := range []int{1, fewGroups, fewGroups + 1, 100} {
		var gs groups
		var all []*Recipient
		for i := range 5 * hops {
			all = append(all, Rcpt(fmt.Sprintf("%d@example.net", i))...)
		}
		for i := range all {
			gs.add(NextHop{Destination: fmt.Sprint(i / 2 % hops)}, all, i)
		}
		if len(gs.list) != hops {
			t.Fatalf("%d hops: %d groups", hops, len(gs.list))
		}
		n := 0
		for k, g := range gs.list {
			if g.hop.Destination != fmt.Sprint(k) {
				t.Errorf("%d hops: group %d is for %v", hops, k, g.hop)
			}
			for _, r := range g.rcpts {
				var i int
				fmt.Sscanf(r.Addr, "%d@", &i)
				if i/2%hops != k {
					t.Errorf("%d hops: %s is in the group of hop %d", hops, r.Addr, k)
				}
				n++
			}
		}
		if n != len(all) {
			t.Errorf("%d hops: %d recipients are in groups, want %d", hops, n, len(all))
		}
	}
}
