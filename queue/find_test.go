package queue_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A workCounter counts the messages that are read, and the entries that List yields.
type workCounter struct {
	*memory.Store
	read, listed int
	slow         time.Duration // how long Get takes
}

func (s *workCounter) Get(ctx context.Context, id string) (*queue.Message, error) {
	s.read++
	time.Sleep(s.slow)
	return s.Store.Get(ctx, id)
}

func (s *workCounter) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for e, err := range s.Store.List(ctx, q) {
			s.listed++
			if !yield(e, err) {
				return
			}
		}
	}
}

// plainStore is a Store that is not a Searcher.
type plainStore struct{ queue.Store }

var (
	fewHop   = queue.NextHop{Connector: "internet", Destination: "few.example"}
	manyHop  = queue.NextHop{Connector: "internet", Destination: "many.example"}
	asideHop = func(name string) queue.NextHop { return queue.NextHop{Destination: name} }
)

// findWorld has a store with n messages that wait for their next attempt at manyHop,
// and two of each other kind. The IDs of the others end with their kind.
func findWorld(t *testing.T, n int) (*workCounter, *queue.Queue) {
	t.Helper()
	s := &workCounter{Store: new(memory.Store)}
	t.Cleanup(func() { s.Close() })
	now := time.Now()
	later := now.Add(time.Hour)
	put := func(id, from, rcpt string, attempts int, sch queue.Schedule) {
		m := &queue.Message{ID: id, From: from, Recipients: queue.Rcpt(rcpt), Received: now.Add(-time.Hour),
			Content: queue.String("Subject: about " + id + "\r\n\r\n"), Origin: queue.Origin{ClientAddr: "192.0.2.1"}}
		m.Recipients[0].Attempts = attempts
		if sch.Hop == asideHop(queue.BadMailQueue) {
			m.Recipients[0].Status = queue.Failed
		}
		if err := s.Put(t.Context(), m, sch); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		put(fmt.Sprintf("%05d", i), "list@example.com", fmt.Sprintf("user%d@many.example", i), 1, queue.Schedule{Due: later, Wait: time.Hour, Hop: manyHop})
	}
	for i := range 2 {
		id := func(kind string) string { return fmt.Sprintf("%05d-%s", i*n/2, kind) }
		put(id("few"), "Bob@Example.com", "Carol@few.example", 1, queue.Schedule{Due: later, Wait: time.Hour, Hop: fewHop})
		put(id("new"), "bob@example.com", "carol@few.example", 0, queue.Schedule{Hop: fewHop})
		put(id("behind"), "bob@example.com", "dave@few.example", 0, queue.Schedule{Due: later, Wait: time.Hour, Hop: fewHop})
		put(id("held"), "bob@example.com", "dave@few.example", 0, queue.Schedule{Due: later})
		put(id("null"), "", "erin@few.example", 1, queue.Schedule{Due: later, Wait: time.Hour, Hop: fewHop})
		put(id("suspended"), "frank@example.com", "x@few.example", 1, queue.Schedule{Due: now.AddDate(90, 0, 0), Hop: asideHop(queue.SuspendedQueue)})
		put(id("poison"), "frank@example.com", "x@few.example", 1, queue.Schedule{Due: now.AddDate(90, 0, 0), Hop: asideHop(queue.PoisonQueue)})
		put(id("bad"), "", "x@few.example", 1, queue.Schedule{Due: now.AddDate(90, 0, 0), Hop: asideHop(queue.BadMailQueue)})
	}
	s.read, s.listed = 0, 0
	q := &queue.Queue{Store: s, Hostname: "relay.example.com", Deliverer: routes{func(r *queue.Recipient) queue.NextHop { return r.Route }}}
	return s, q
}

func idsOf(t *testing.T, seq iter.Seq2[*queue.MessageInfo, error]) (ids []string) {
	t.Helper()
	for m, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

// findTests are filters and the kinds of the messages that they select, twice each.
// reads is how many messages are read to show them.
var findTests = []struct {
	name  string
	f     queue.Filter
	kinds []string
	reads int
}{
	{"recipient", queue.Filter{Recipient: "carol@FEW.example"}, []string{"few", "new"}, 4},
	{"sender", queue.Filter{From: "bob@example.com"}, []string{"behind", "few", "held", "new"}, 8},
	{"null reverse-path", queue.Filter{From: "<>"}, []string{"bad", "null"}, 4},
	{"sender and recipient", queue.Filter{From: "bob@example.com", Recipient: "dave@few.example"}, []string{"behind", "held"}, 4},
	{"recipient of bad mail", queue.Filter{Recipient: "x@few.example", Status: queue.MessageBad}, []string{"bad"}, 2},
	{"unknown", queue.Filter{Recipient: "unknown@few.example"}, nil, 0},
	{"new, or behind others", queue.Filter{Status: queue.MessageReady}, []string{"behind", "new"}, 4},
	{"held", queue.Filter{Status: queue.MessageHeld}, []string{"held"}, 2},
	{"suspended", queue.Filter{Status: queue.MessageSuspended}, []string{"suspended"}, 2},
	{"poison", queue.Filter{Status: queue.MessagePoison}, []string{"poison"}, 2},
	{"bad", queue.Filter{Status: queue.MessageBad}, []string{"bad"}, 2},
	{"active", queue.Filter{Status: queue.MessageActive}, nil, 0},
	{"retry for a hop", queue.Filter{Hop: &fewHop, Status: queue.MessageRetry}, []string{"few", "null"}, 4},
	{"pattern among a sender", queue.Filter{From: "frank@example.com", Subject: "*POISON"}, []string{"poison"}, 4},
}

// A search by an exact address, a status or a hop reads only the messages that it
// shows, however many others are stored. A Store that is not a Searcher has the same
// results.
func TestSearchReadsWhatItShows(t *testing.T) {
	const n = 1000
	for _, tc := range findTests {
		t.Run(tc.name, func(t *testing.T) {
			s, q := findWorld(t, n)
			var want []string
			for i := range 2 {
				for _, kind := range tc.kinds {
					want = append(want, fmt.Sprintf("%05d-%s", i*n/2, kind))
				}
			}
			if got := idsOf(t, q.Messages(t.Context(), tc.f)); !slices.Equal(got, want) {
				t.Errorf("Messages: %v, want %v", got, want)
			}
			if s.read != tc.reads {
				t.Errorf("%d messages were read, want %d", s.read, tc.reads)
			}
			page, err := q.Search(t.Context(), tc.f, queue.SearchLimits{})
			if err != nil || !page.Complete || len(page.Messages) != len(want) || page.Examined != tc.reads {
				t.Errorf("Search: %+v, %v; want %d messages", page, err, len(want))
			}
			s.read = 0
			if c, err := q.Count(t.Context(), tc.f, queue.SearchLimits{}); err != nil || !c.Complete || c.Messages != len(want) {
				t.Errorf("Count: %+v, %v; want %d", c, err, len(want))
			}
			if tc.f.Subject == "" && tc.f.Hop == nil && s.read != 0 {
				t.Errorf("Count has read %d messages", s.read)
			}
			q.Store = plainStore{s}
			if got := idsOf(t, q.Messages(t.Context(), tc.f)); !slices.Equal(got, want) {
				t.Errorf("Messages of a Store that is not a Searcher: %v, want %v", got, want)
			}
			if c, err := q.Count(t.Context(), tc.f, queue.SearchLimits{}); err != nil || !c.Complete || c.Messages != len(want) {
				t.Errorf("Count of a Store that is not a Searcher: %+v, %v; want %d", c, err, len(want))
			}
		})
	}
}

// The pages of a search are those of Messages, also if a page ends at a limit without
// a message.
func TestSearchPages(t *testing.T) {
	s, q := findWorld(t, 100)
	for _, tc := range []struct {
		name  string
		f     queue.Filter
		l     queue.SearchLimits
		pages int
	}{
		{"messages", queue.Filter{}, queue.SearchLimits{Messages: 29}, 4},
		{"examined", queue.Filter{Subject: "*few"}, queue.SearchLimits{Examined: 10}, 12},
		{"one", queue.Filter{Subject: "*few", Status: queue.MessageRetry}, queue.SearchLimits{Examined: 1}, 104},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := idsOf(t, q.Messages(t.Context(), tc.f))
			var got []string
			f, pages := tc.f, 0
			for complete := false; !complete; pages++ {
				s.read = 0
				page, err := q.Search(t.Context(), f, tc.l)
				if err != nil {
					t.Fatal(err)
				}
				if page.Examined != s.read || tc.l.Examined > 0 && s.read > tc.l.Examined || tc.l.Messages > 0 && len(page.Messages) > tc.l.Messages {
					t.Fatalf("%d read, %+v; limits %+v", s.read, page, tc.l)
				}
				for _, m := range page.Messages {
					got = append(got, m.ID)
				}
				if complete = page.Complete; complete == (page.Next != "") {
					t.Fatalf("Next %q of a page with Complete %v", page.Next, page.Complete)
				}
				f.After = page.Next
			}
			if !slices.Equal(got, want) || pages != tc.pages {
				t.Errorf("%d pages with %v; want %d with %v", pages, got, tc.pages, want)
			}
			c, err := q.Count(t.Context(), queue.Filter{Subject: "*few"}, queue.SearchLimits{Examined: 10})
			if err != nil || c.Complete || c.Examined != 10 || c.Messages != 1 {
				t.Errorf("Count within 10 messages: %+v, %v", c, err)
			}
		})
	}
}

// A search ends after SearchLimits.Time.
func TestSearchTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := findWorld(t, 100)
		s.slow = 300 * time.Millisecond
		page, err := q.Search(t.Context(), queue.Filter{Subject: "*nothing*"}, queue.SearchLimits{Time: time.Second})
		if err != nil || page.Examined != 4 || page.Complete || page.Next == "" {
			t.Errorf("%+v, %v; want 4 messages, which take 1.2 seconds", page, err)
		}
	})
}

// CountFor is the number that Do returns. Do reads only the messages that it changes,
// and RetryQueues looks only at those of matching hops.
func TestOperationsLookOnlyAtTheirMessages(t *testing.T) {
	suspended, few := queue.Filter{Status: queue.MessageSuspended}, queue.Filter{Hop: &fewHop}
	for _, tc := range []struct {
		name string
		f    queue.Filter
		op   queue.Op
		want int
	}{
		{"resume", suspended, queue.Resume(), 2},
		{"resume all", queue.Filter{}, queue.Resume(), 2},
		{"suspend", few, queue.Suspend(), 8},
		{"suspend poison", queue.Filter{Status: queue.MessagePoison}, queue.Suspend(), 0},
		{"expire", queue.Filter{From: "frank@example.com"}, queue.Expire(), 4},
		{"remove", queue.Filter{Recipient: "x@few.example"}, queue.Remove(false), 6},
		{"retry", queue.Filter{}, queue.RetryNow(), 1010},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, q := findWorld(t, 1000)
			c, err := q.CountFor(t.Context(), tc.f, tc.op, queue.SearchLimits{})
			if err != nil || c.Messages != tc.want || !c.Complete {
				t.Errorf("CountFor: %+v, %v; want %d", c, err, tc.want)
			}
			plain := &queue.Queue{Store: plainStore{s}, Hostname: q.Hostname, Deliverer: q.Deliverer}
			if c, err := plain.CountFor(t.Context(), tc.f, tc.op, queue.SearchLimits{}); err != nil || c.Messages != tc.want {
				t.Errorf("CountFor of a Store that is not a Searcher: %+v, %v; want %d", c, err, tc.want)
			}
			s.read = 0
			if n, err := q.Do(t.Context(), tc.f, tc.op); err != nil || n != tc.want {
				t.Errorf("Do: %d, %v; want %d", n, err, tc.want)
			}
			if s.read > 16 {
				t.Errorf("Do has read %d messages", s.read)
			}
		})
	}
	s, q := findWorld(t, 1000)
	n, err := q.RetryQueues(t.Context(), func(h queue.NextHop) bool { return h == fewHop })
	if err != nil || n != 8 || s.listed > 12 {
		t.Errorf("RetryQueues: %d messages, %v; it has looked at %d", n, err, s.listed)
	}
	s.listed = 0
	infos, err := q.Queues(t.Context())
	if err != nil || len(infos) != 6 || s.listed+s.read > 20 {
		t.Errorf("Queues: %d hops, %v; it has looked at %d messages and read %d", len(infos), err, s.listed, s.read)
	}
	for _, i := range infos {
		if i.Oldest.IsZero() {
			t.Errorf("no oldest message of %v", i.Hop)
		}
	}
}

// Active messages are found in memory, and do not count as messages that wait.
func TestSearchActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		hold := make(chan bool)
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			<-hold
			return ok
		}
		w.run()
		defer w.shutdown()
		defer close(hold)
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		for status, want := range map[queue.MessageStatus]int{queue.MessageActive: 1, queue.MessageReady: 0, queue.MessageRetry: 0, 0: 1} {
			f := queue.Filter{Status: status, Recipient: "bob@example.net"}
			page, err := w.q.Search(t.Context(), f, queue.SearchLimits{})
			if err != nil || len(page.Messages) != want {
				t.Errorf("status %v: %d messages, %v; want %d", status, len(page.Messages), err, want)
			}
			if c, err := w.q.Count(t.Context(), f, queue.SearchLimits{}); err != nil || c.Messages != want || !c.Complete {
				t.Errorf("Count of status %v: %+v, %v; want %d", status, c, err, want)
			}
		}
	})
}
