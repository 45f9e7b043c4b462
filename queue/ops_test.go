package queue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// ids returns the IDs of the messages that a filter selects.
func (w *world) ids(f queue.Filter) []string {
	w.t.Helper()
	var ids []string
	for info, err := range w.q.Messages(context.Background(), f) {
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	return ids
}

func (w *world) do(f queue.Filter, op queue.Op, want int) {
	w.t.Helper()
	n, err := w.q.Do(context.Background(), f, op)
	if err != nil || n != want {
		w.t.Fatalf("%v: %d messages, %v; want %d", op, n, err, want)
	}
	synctest.Wait()
}

func (w *world) status(id string) queue.MessageStatus {
	w.t.Helper()
	info, err := w.q.Message(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return info.Status
}

func greylist(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
	if hop.Destination == "slow.example" {
		return says(450, smtp.EnhancedCode{4, 2, 0}, "come back later")
	}
	return ok
}

func TestFilters(t *testing.T) {
	w := newWorld(t, nil)
	submit := func(id, from, to, subject, client string, size int) {
		m := message(from, to)
		m.ID, m.Origin.ClientAddr = id, client
		m.Content = queue.String("Subject: " + subject + "\r\n\r\n" + strings.Repeat("x", size))
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	submit("a", "alice@example.com", "bob@example.net", "Lunch", "192.0.2.1", 10)
	submit("b", "alice@example.com", "carol@example.org", "Dinner", "192.0.2.2", 1000)
	submit("c", "spam@offers.example", "bob@example.net", "Win a LUNCH", "198.51.100.7", 10)
	hop := queue.NextHop{Connector: "out", Destination: "example.net"}
	for _, test := range []struct {
		f    queue.Filter
		want string
	}{
		{queue.Filter{}, "a b c"},
		{queue.Filter{ID: "b"}, "b"},
		{queue.Filter{After: "a"}, "b c"},
		{queue.Filter{From: "ALICE@example.com"}, "a b"},
		{queue.Filter{From: "*@offers.example"}, "c"},
		{queue.Filter{Recipient: "bob@*"}, "a c"},
		{queue.Filter{Subject: "*lunch*"}, "a c"},
		{queue.Filter{Subject: "lunch"}, "a"},
		{queue.Filter{Client: "192.0.2.*"}, "a b"},
		{queue.Filter{MinSize: 500}, "b"},
		{queue.Filter{MaxSize: 500}, "a c"},
		{queue.Filter{Hop: &hop}, "a c"},
		{queue.Filter{Status: queue.MessageReady}, "a b c"},
		{queue.Filter{Status: queue.MessageSuspended}, ""},
		{queue.Filter{Since: time.Now().Add(time.Hour)}, ""},
		{queue.Filter{Before: time.Now().Add(time.Hour), From: "alice*"}, "a b"},
	} {
		if got := strings.Join(w.ids(test.f), " "); got != test.want {
			t.Errorf("%+v selects %q, want %q", test.f, got, test.want)
		}
	}
	if _, err := w.q.Message(context.Background(), "zz"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a message that is not there: %v", err)
	}
}

func TestMessageOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = greylist
		w.run()
		defer w.shutdown()
		synctest.Wait()
		var ids []string
		for range 6 {
			ids = append(ids, w.submit("alice@example.com", "bob@slow.example").ID)
		}
		w.took()
		one := func(i int) queue.Filter { return queue.Filter{ID: ids[i]} }

		w.do(one(0), queue.Suspend(), 1)
		if s := w.status(ids[0]); s != queue.MessageSuspended {
			t.Errorf("suspended: %v", s)
		}
		w.do(one(1), queue.RetryNow(), 1)
		if c := w.took(); len(c) != 1 || c[0].id != ids[1] {
			t.Errorf("retry now: %v", c)
		}
		w.do(one(2), queue.Remove(false), 1)
		w.do(one(3), queue.Remove(true), 1)
		w.do(one(4), queue.Expire(), 1)
		c := w.took()
		if len(c) != 2 || !strings.Contains(c[0].text, "administrator has removed") || !strings.Contains(c[1].text, "Status: 4.4.7") {
			t.Errorf("reports of a removal and an expiry: %v", c)
		}
		w.do(one(5), queue.Redirect(queue.NextHop{Connector: "out", Destination: "other.example"}), 1)
		if c := w.took(); len(c) != 1 || c[0].id != ids[5] || c[0].hop != "other.example" {
			t.Errorf("redirect: %v", c)
		}
		if got := w.ids(queue.Filter{}); !slices.Equal(got, []string{ids[0], ids[1]}) {
			t.Errorf("left: %v, want %v", got, ids[:2])
		}

		// A suspended message is not touched until it is resumed.
		w.after(5 * time.Hour)
		for _, c := range w.took() {
			if c.id == ids[0] {
				t.Fatal("a suspended message was tried")
			}
		}
		w.do(queue.Filter{}, queue.RetryNow(), 1)
		w.took()
		w.do(one(0), queue.Resume(), 1)
		if c := w.took(); len(c) != 1 || c[0].id != ids[0] {
			t.Errorf("resume: %v", c)
		}
	})
}

// Bad mail that is resubmitted is attempted again, under a new ID.
func TestResubmitBadMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if time.Since(w.begun) < time.Hour {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("", "bob@example.net")
		w.took()
		bad := w.ids(queue.Filter{Status: queue.MessageBad})
		if len(bad) != 1 {
			t.Fatalf("bad mail: %v", bad)
		}
		w.after(2 * time.Hour)
		w.do(queue.Filter{Status: queue.MessageBad}, queue.Resubmit(), 1)
		if c := w.took(); len(c) != 1 || c[0].id == bad[0] || !strings.Contains(c[0].text, "Hello there.") || w.stored() != 0 {
			t.Errorf("%v, %d stored", c, w.stored())
		}
	})
}

func TestQueueOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "dead.example" {
				return refused
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		hop := queue.NextHop{Connector: "out", Destination: "example.net"}
		dead := queue.NextHop{Connector: "out", Destination: "dead.example"}
		suspend(t, w.q, hop)
		for range 3 {
			w.submit("alice@example.com", "bob@example.net")
			w.submit("alice@example.com", "bob@dead.example")
			synctest.Wait()
		}
		w.submit("alice@example.com", "bob@example.org")
		if c := w.took(); len(c) != 2 {
			t.Fatalf("%v: want one each for the dead hop and the third", c)
		}
		infos := func() map[queue.NextHop]queue.QueueInfo {
			list, err := w.q.Queues(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			m := map[queue.NextHop]queue.QueueInfo{}
			for _, i := range list {
				m[i.Hop] = i
			}
			return m
		}
		i := infos()
		if s := i[hop]; s.Status != queue.QueueSuspended || s.Stored != 3 || s.Bytes == 0 || s.Oldest.IsZero() {
			t.Errorf("suspended: %+v", s)
		}
		if s := i[dead]; s.Status != queue.QueueRetry || s.Stored != 3 || s.LastError.Reply.Message != "connection refused" ||
			s.NextRetry.Sub(w.begun).Round(time.Second) != 10*time.Minute {
			t.Errorf("dead: %+v", s)
		}
		w.q.RetryQueue(context.Background(), dead)
		if c := w.took(); len(c) != 1 || c[0].hop != "dead.example" {
			t.Errorf("retry queue: %v, want one probe", c)
		}
		lift(t, w.q, hop)
		if c := w.took(); len(c) != 3 {
			t.Errorf("resume queue: %v", c)
		}
		if s := infos()[hop]; s.Status != queue.QueueReady || s.Stored != 0 || s.Counts.Delivered != 3 {
			t.Errorf("resumed: %+v", s)
		}
	})
}

func TestFreezePauseDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.q.Pause(context.Background())
		w.submit("alice@example.com", "bob@example.net")
		if c := w.took(); len(c) != 0 {
			t.Errorf("delivered while paused: %v", c)
		}
		w.q.Continue(context.Background())
		if c := w.took(); len(c) != 1 {
			t.Errorf("not delivered afterwards: %v", c)
		}
		w.q.Freeze(context.Background())
		err := w.q.Submit(context.Background(), message("alice@example.com", "bob@example.net"))
		var se *smtp.SMTPError
		if !errors.As(err, &se) || se.Code != 451 || se.EnhancedCode != (smtp.EnhancedCode{4, 3, 2}) {
			t.Errorf("Submit while frozen: %v", err)
		}
		w.q.Thaw(context.Background())
		w.deliver = greylist
		w.submit("alice@example.com", "bob@slow.example")
		w.after(time.Minute)
		w.took()
		w.deliver = nil
		if err := w.q.Drain(context.Background()); err != nil || w.stored() != 0 {
			t.Errorf("Drain: %v, %d left", err, w.stored())
		}
	})
}

// An operator removes a message with a report, and its sender is the null
// reverse-path, so it becomes bad mail. If it is resubmitted, it is delivered
// and not lost.
func TestResubmitRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			return says(451, smtp.EnhancedCode{4, 0, 0}, "Not now")
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("", "bob@example.net")
		w.took()
		w.do(queue.Filter{}, queue.Remove(true), 1)
		w.deliver = nil
		w.do(queue.Filter{Status: queue.MessageBad}, queue.Resubmit(), 1)
		if c := w.took(); len(c) != 1 || c[0].rcpts[0] != "bob@example.net" || w.stored() != 0 {
			t.Errorf("%v, %d stored", c, w.stored())
		}
	})
}
