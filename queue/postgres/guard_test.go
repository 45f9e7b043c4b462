package postgres

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// MayBegin fails when one more missed beat would be the last, and MayFinish when the
// others may have taken the message over.
func TestGuardLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{opts: Options{Beat: 5 * time.Second, DeadAfter: 15 * time.Second}}
		s.node = &node{store: s, began: time.Now(), incoming: newNotices()}
		s.node.id.Store(3)
		s.leases.incarnation = s.node.incarnation
		if err := s.leases.add(3, "one", 1, 0, queue.Schedule{Owner: "q"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // the node has run for a while
		s.node.beaten(s.node.id.Load(), time.Now())
		for _, c := range []struct {
			silent        time.Duration
			begin, finish bool
		}{
			{0, true, true},
			{10 * time.Second, true, true},
			{10*time.Second + 1, false, true},
			{15 * time.Second, false, true},
			{15*time.Second + 1, false, false},
			{time.Hour, false, false},
		} {
			time.Sleep(c.silent - s.node.silence())
			begin, finish := s.MayBegin("q", "one"), s.MayFinish("q", "one")
			if (begin == nil) != c.begin || begin != nil && (!errors.Is(begin, queue.ErrUnavailable) || isLost(begin)) {
				t.Errorf("MayBegin after %v: %v", c.silent, begin)
			}
			if (finish == nil) != c.finish || finish != nil && !isLost(finish) {
				t.Errorf("MayFinish after %v: %v", c.silent, finish)
			}
		}
		for _, other := range [][2]string{{"other", "one"}, {"q", "two"}, {"", "one"}} {
			if err := s.MayBegin(other[0], other[1]); !isLost(err) {
				t.Errorf("MayBegin of %q: %v", other, err)
			}
			if err := s.MayFinish(other[0], other[1]); !isLost(err) {
				t.Errorf("MayFinish of %q: %v", other, err)
			}
		}

		// Contact permits deliveries again, and the Queue is told so, once.
		s.node.beaten(s.node.id.Load(), time.Now())
		s.node.beaten(s.node.id.Load(), time.Now())
		if err := errors.Join(s.MayBegin("q", "one"), s.MayFinish("q", "one")); err != nil {
			t.Errorf("with contact: %v", err)
		}
		if ns := s.node.incoming.take(); len(ns) != 1 || ns[0].Kind != queue.NoticeContact {
			t.Errorf("notices: %v", ns)
		}
	})
}

// MayBegin fails while results wait too long for the database, until they are recorded.
// What has begun may finish.
func TestGuardOfUnrecordedResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{opts: Options{Beat: 5 * time.Second, DeadAfter: 15 * time.Second}}
		s.node = &node{store: s, began: time.Now(), incoming: newNotices()}
		s.node.id.Store(3)
		s.leases.incarnation = s.node.incarnation
		if err := s.leases.add(3, "one", 1, 0, queue.Schedule{Owner: "q"}); err != nil {
			t.Fatal(err)
		}
		s.changes.progress = make(chan struct{})
		permitted := func(want bool) {
			t.Helper()
			if err := s.MayBegin("q", "one"); (err == nil) != want || err != nil && (!errors.Is(err, queue.ErrUnavailable) || isLost(err)) {
				t.Errorf("MayBegin: %v, want permission: %t", err, want)
			}
			if err := s.MayFinish("q", "one"); err != nil {
				t.Errorf("MayFinish: %v", err)
			}
		}
		record := func() { // as the goroutine of startChanges does
			s.changes.recording, s.changes.collecting = s.changes.collecting, nil
		}

		permitted(true)
		s.changes.insert(&change{id: "a", remove: true})
		record()
		time.Sleep(recordWait)
		permitted(true)
		s.changes.insert(&change{id: "b", remove: true})
		time.Sleep(time.Nanosecond)
		permitted(false)
		s.changes.tried(nil)
		permitted(true) // "b" has waited for 1 ns only
		record()
		time.Sleep(recordWait + time.Nanosecond)
		permitted(false)
		s.changes.tried(nil)
		permitted(true)
	})
}
