package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// reach are the ways in which nodes use a server.
var reach = map[string]func(t *testing.T, url string, o *Options) *Store{
	"LISTEN": func(t *testing.T, url string, o *Options) *Store { return open(t, url, o) },
	"PgBouncer": func(t *testing.T, url string, o *Options) *Store {
		o.Pooler = true
		return open(t, pgtest.Shared(t).PgBouncer(t, url), o)
	},
}

// Notices reach the other nodes and not the sender.
func TestNotices(t *testing.T) {
	t.Parallel()
	hops := []queue.NextHop{{Connector: "internet", Destination: "example.com"}, {Destination: "\x00\xff"}}
	for name, by := range reach {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			a, b := by(t, url, steady("a")), by(t, url, steady("b"))
			a.Notify(queue.Notice{Kind: queue.NoticeMail})
			awaitNotice(t, b, queue.NoticeMail)
			a.Notify(queue.Notice{Kind: queue.NoticeSuspensions})
			awaitNotice(t, b, queue.NoticeSuspensions)
			a.Notify(queue.Notice{Kind: queue.NoticeRetry, Hops: hops[:1]})
			if n := awaitNotice(t, b, queue.NoticeRetry); !slices.Equal(n.Hops, hops[:1]) {
				t.Errorf("retry of %q", n.Hops)
			}
			a.Notify(queue.Notice{Kind: queue.NoticeRetry})
			if n := awaitNotice(t, b, queue.NoticeRetry); len(n.Hops) != 0 {
				t.Errorf("retry of %q, not of all", n.Hops)
			}
			// None of them has come back to the sender.
			b.Notify(queue.Notice{Kind: queue.NoticeSuspensions})
			for n := range a.Notices() {
				if n.Kind == queue.NoticeSuspensions {
					break
				}
				if n.Kind != queue.NoticeMail { // each look sends one
					t.Errorf("the sender got %v", n)
				}
			}
		})
	}
}

// With LISTEN, a notice does not wait for the next look.
func TestListenWakes(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := open(t, url, steady("a")), open(t, url, steady("b"))
	eventually(t, "b listens", func() bool {
		return one[int](t, a, `select count(*) from pg_stat_activity where query like 'listen %' and application_name = 'bridgehead b'`) == 1
	})
	eventually(t, "they see each other", func() bool { return a.node.members.Load() == 2 })
	silent(t, b) // b does not look
	eventually(t, "b has received all", func() bool {
		select {
		case <-b.Notices():
			return false
		case <-time.After(200 * time.Millisecond):
			return true
		}
	})
	a.Notify(queue.Notice{Kind: queue.NoticeMail})
	awaitNotice(t, b, queue.NoticeMail)
	// A notice that needs a look asks for one.
	for len(b.node.wake) > 0 {
		<-b.node.wake
	}
	a.Notify(queue.Notice{Kind: queue.NoticeSuspensions})
	eventually(t, "b is woken", func() bool { return len(b.node.wake) == 1 })
}

// A node listens again when its connection is broken.
func TestListensAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a := open(t, url, steady("a"))
	open(t, url, steady("b"))
	pid := func(old int) int {
		return one[int](t, a, `select coalesce(max(pid), 0) from pg_stat_activity where query like 'listen %'
			and application_name = 'bridgehead b' and datname = current_database() and pid <> $1`, old)
	}
	eventually(t, "b listens", func() bool { return pid(0) != 0 })
	old := pid(0)
	if !one[bool](t, a, `select pg_terminate_backend($1)`, old) {
		t.Fatal("the connection is not there")
	}
	eventually(t, "b listens again", func() bool { return pid(old) != 0 })
}

// A node finds out that its network loses all packets. Silence is no error.
func TestNextNotification(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	proxy := pgtest.Shared(t).Proxy(t)
	a := open(t, url, steady("a"))
	b := open(t, proxy.URL(url), quick("b"))
	c := listener(t, b)
	eventually(t, "a sees b", func() bool { return a.node.members.Load() == 2 })
	// This is longer than the silence after which the server is asked.
	time.AfterFunc(1500*time.Millisecond, func() { a.Notify(queue.Notice{Kind: queue.NoticeMail}) })
	if n, err := b.node.nextNotification(t.Context(), c); err != nil || n.Payload != mailPayload(a) {
		t.Fatalf("%v, %v", n, err)
	}
	proxy.Stall()
	defer proxy.Continue()
	if n, err := b.node.nextNotification(t.Context(), c); err == nil {
		t.Errorf("without a network: %v", n)
	}
}

// A node sends at most 10 notifications a second, however many notices there are.
func TestFewNotifications(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a := open(t, url, steady("a"))
	open(t, url, steady("b"))
	eventually(t, "a sees b", func() bool { return a.node.members.Load() == 2 })
	c := listener(t, a)
	began, sent := time.Now(), 0
	for time.Since(began) < time.Second {
		sent++
		a.Notify(queue.Notice{Kind: queue.NoticeMail})
		a.Notify(queue.Notice{Kind: queue.NoticeRetry, Hops: []queue.NextHop{{Destination: fmt.Sprint(sent % 50)}}})
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * noticeInterval) // the last ones
	most := int(time.Since(began)/noticeInterval) + 1
	received, me := 0, strconv.FormatInt(a.node.id.Load(), 10)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		n, err := c.WaitForNotification(ctx)
		cancel()
		if err != nil {
			break
		}
		if strings.HasPrefix(n.Payload, me) {
			received++
		}
	}
	if received == 0 || received > most {
		t.Errorf("%d notifications for %d notices, at most %d", received, 2*sent, most)
	}
	if rows := one[int](t, a, `select count(*) from bridgehead.notice`); rows == 0 || rows > most {
		t.Errorf("%d rows, at most %d", rows, most)
	}
}

// Notices that wait are merged, so their number is bounded.
func TestNoticesAreMerged(t *testing.T) {
	w := newNotices()
	for i := range 1000 {
		w.add(queue.Notice{Kind: queue.NoticeMail})
		w.add(queue.Notice{Kind: queue.NoticeSuspensions})
		w.add(queue.Notice{Kind: queue.NoticeRetry, Hops: []queue.NextHop{{Destination: fmt.Sprint(i % 3)}}})
		w.add(queue.Notice{Kind: queue.NoticeDrain})
		w.add(queue.Notice{Kind: queue.NoticeLost})
		w.add(queue.Notice{Kind: queue.NoticeUndrain})
	}
	var kinds []queue.NoticeKind
	for _, n := range w.take() {
		kinds = append(kinds, n.Kind)
		if n.Kind == queue.NoticeRetry && len(n.Hops) != 3 {
			t.Errorf("retry of %q", n.Hops)
		}
	}
	// The last of Drain and Undrain counts. Those about this node come first, in order.
	if want := []queue.NoticeKind{queue.NoticeLost, queue.NoticeUndrain, queue.NoticeSuspensions, queue.NoticeRetry, queue.NoticeMail}; !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	if left := w.take(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	for i := range queue.MaxNoticeHops + 1 {
		w.add(queue.Notice{Kind: queue.NoticeRetry, Hops: []queue.NextHop{{Destination: fmt.Sprint(i)}}})
	}
	w.add(queue.Notice{Kind: queue.NoticeRetry, Hops: []queue.NextHop{{Destination: "one more"}}})
	if ns := w.take(); len(ns) != 1 || len(ns[0].Hops) != 0 {
		t.Errorf("more than %d hops are not all: %v", queue.MaxNoticeHops, ns)
	}
}

// The numbers of notices are not in the order of their commits.
func TestNoticeReader(t *testing.T) {
	var r noticeReader
	r.low = 10
	now := time.Now()
	for _, c := range []struct {
		id    int64
		isNew bool
	}{{9, false}, {10, false}, {12, true}, {12, false}, {11, true}, {11, false}} {
		if got := r.isNew(c.id, now); got != c.isNew {
			t.Errorf("%d: %v", c.id, got)
		}
	}
	r.advance(now.Add(noticeDelay))
	if r.low != 10 || len(r.seen) != 2 {
		t.Errorf("low %d, seen %v", r.low, r.seen)
	}
	r.advance(now.Add(noticeDelay + 1))
	if r.low != 12 || len(r.seen) != 0 || r.isNew(11, now) {
		t.Errorf("low %d, seen %v", r.low, r.seen)
	}
}
