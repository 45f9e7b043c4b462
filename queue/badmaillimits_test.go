package queue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// A refuser refuses all mail.
type refuser struct{}

func (refuser) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Connector: "out", Destination: "example.net"}, nil
}

func (refuser) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i] = says(550, smtp.EnhancedCode{5, 1, 1}, "No such user here")
	}
	return results
}

// A badQueue is a running queue that refuses all mail.
type badQueue struct {
	*queue.Queue
	t      *testing.T
	events *queue.Subscription
	ended  chan error
}

func runBadQueue(t *testing.T, store queue.Store, limits queue.Limits) *badQueue {
	q := &badQueue{t: t, ended: make(chan error, 1),
		Queue: &queue.Queue{Store: store, Deliverer: refuser{}, Hostname: "relay.example.com", Limits: limits}}
	q.events = q.Subscribe(0)
	go func() { q.ended <- q.Run(context.Background()) }()
	return q
}

func (q *badQueue) shutdown() {
	q.t.Helper()
	q.events.Close()
	if err := q.Shutdown(context.Background()); err != nil {
		q.t.Error(err)
	}
	if err := <-q.ended; err != nil {
		q.t.Error(err)
	}
}

// submit submits a message that becomes bad mail. It returns what happened
// until then: the events for bad mail in the order of their times.
func (q *badQueue) submit(name string, body int) (events []string) {
	q.t.Helper()
	text := "Subject: " + name + "\r\n\r\n" + strings.Repeat("x", body) + "\r\n"
	m := &queue.Message{Recipients: queue.Rcpt(name + "@example.net"), Content: queue.String(text)}
	if err := q.Submit(context.Background(), m); err != nil {
		q.t.Fatal(err)
	}
	for {
		select {
		case e := <-q.events.C:
			switch {
			case e.Kind == queue.EventBadMailRemoved:
				events = append(events, "removed "+e.Subject)
			case e.Kind == queue.EventBadMail && strings.Contains(e.Text, "only its header"):
				return append(events, "header "+e.Subject)
			case e.Kind == queue.EventBadMail:
				return append(events, "kept "+e.Subject)
			}
		case <-time.After(time.Hour): // in some tests the time is virtual, and a message waits
			q.t.Fatal("no bad mail")
		}
	}
}

// bad returns the bad mail, by age, with the sizes of the contents.
func (q *badQueue) bad() (all []string) {
	q.t.Helper()
	var infos []*queue.MessageInfo
	for info, err := range q.Messages(context.Background(), queue.Filter{Status: queue.MessageBad}) {
		if err != nil {
			q.t.Fatal(err)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b *queue.MessageInfo) int { return a.Received.Compare(b.Received) })
	for _, info := range infos {
		size := "whole"
		if info.Size < 1000 {
			size = "header"
		}
		if len(info.Recipients) != 1 || info.Recipients[0].Addr != info.Subject+"@example.net" {
			q.t.Errorf("the envelope of %s: %v", info.Subject, info.Recipients)
		}
		all = append(all, info.Subject+" "+size)
	}
	return all
}

// badStores are the stores that the tests of bad mail use.
var badStores = map[string]func(t *testing.T, dir string) queue.Store{
	"memory": func(*testing.T, string) queue.Store { return new(memory.Store) },
	"spool": func(t *testing.T, dir string) queue.Store {
		s, err := spool.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

// When bad mail reaches its limit in bytes, only the header of new messages is
// kept. When that is too much, the oldest message is removed. The limits hold
// after a restart too.
func TestBadMailBytes(t *testing.T) {
	for name, open := range badStores {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store := open(t, dir)
			limits := queue.Limits{BadMailBytes: 10000}
			q := runBadQueue(t, store, limits)
			var events []string
			for i := range 5 {
				events = append(events, q.submit(fmt.Sprint("m", i), 4000)...)
			}
			if want := []string{"kept m0", "kept m1", "header m2", "header m3", "header m4"}; !slices.Equal(events, want) {
				t.Errorf("events %q, want %q", events, want)
			}
			want := []string{"m0 whole", "m1 whole", "m2 header", "m3 header", "m4 header"}
			if got := q.bad(); !slices.Equal(got, want) {
				t.Errorf("bad mail %q, want %q", got, want)
			}
			q.shutdown()
			if name == "spool" { // a new process counts what is there
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				store = open(t, dir)
			}
			defer store.Close()
			limits.BadMailBytes = 8200
			q = runBadQueue(t, store, limits)
			defer q.shutdown()
			events = append(q.submit("m5", 4000), q.submit("m6", 3000)...)
			if want := []string{"removed m0", "header m5", "kept m6"}; !slices.Equal(slices.Sorted(slices.Values(events)), slices.Sorted(slices.Values(want))) {
				t.Errorf("events %q, want %q", events, want)
			}
			want = []string{"m1 whole", "m2 header", "m3 header", "m4 header", "m5 header", "m6 whole"} // there was room again
			if got := q.bad(); !slices.Equal(got, want) {
				t.Errorf("bad mail %q, want %q", got, want)
			}
		})
	}
}

// When bad mail reaches its limit in number, the oldest message is removed.
// What an operator has removed does not count.
func TestBadMailMessages(t *testing.T) {
	for name, open := range badStores {
		t.Run(name, func(t *testing.T) {
			store := open(t, t.TempDir())
			defer store.Close()
			q := runBadQueue(t, store, queue.Limits{BadMailMessages: 3})
			defer q.shutdown()
			for i := range 5 {
				q.submit(fmt.Sprint("m", i), 4000)
			}
			want := []string{"m2 whole", "m3 whole", "m4 whole"}
			if got := q.bad(); !slices.Equal(got, want) {
				t.Errorf("bad mail %q, want %q", got, want)
			}
			if n, err := q.Do(context.Background(), queue.Filter{Status: queue.MessageBad, Subject: "m3"}, queue.Remove(false)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if got := q.submit("m5", 4000); !slices.Equal(got, []string{"kept m5"}) {
				t.Errorf("events %q, but an operator has made room", got)
			}
			want = []string{"m2 whole", "m4 whole", "m5 whole"}
			if got := q.bad(); !slices.Equal(got, want) {
				t.Errorf("bad mail %q, want %q", got, want)
			}
		})
	}
}

// A long envelope counts too: addresses and the replies of hosts.
func TestBadMailEnvelopeCounts(t *testing.T) {
	store := new(memory.Store)
	q := runBadQueue(t, store, queue.Limits{BadMailBytes: 5000})
	defer q.shutdown()
	for i := range 20 {
		q.submit(fmt.Sprint(strings.Repeat("a", 60), i), 0)
	}
	n := 0
	for range store.List(context.Background(), queue.Query{}) {
		n++
	}
	if n == 0 || n > 5000/(60*2) {
		t.Errorf("%d messages with two addresses of 60 bytes each are kept, in 5000 bytes", n)
	}
}

// Negative limits mean none.
func TestBadMailWithoutLimits(t *testing.T) {
	q := runBadQueue(t, new(memory.Store), queue.Limits{BadMailBytes: -1, BadMailMessages: -1})
	defer q.shutdown()
	for i := range 30 {
		q.submit(fmt.Sprint("m", i), 4<<20)
	}
	if got := q.bad(); len(got) != 30 || slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, "header") }) {
		t.Errorf("%q", got)
	}
}

// A smaller limit applies to bad mail that is there already, even if no more
// comes.
func TestBadMailLimitLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory.Store)
		q := runBadQueue(t, store, queue.Limits{})
		for i := range 10 {
			q.submit(fmt.Sprint("m", i), 4000)
			<-time.After(time.Second)
		}
		q.shutdown()
		q = runBadQueue(t, store, queue.Limits{BadMailMessages: 2})
		defer q.shutdown()
		<-time.After(3 * time.Hour)
		if got := q.bad(); !slices.Equal(got, []string{"m8 whole", "m9 whole"}) {
			t.Errorf("%q", got)
		}
	})
}

// A message that is stored again after a crash counts once. A message that
// could not be stored does not count.
func TestBadMailCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &badPuts{Store: new(memory.Store)}
		q := runBadQueue(t, store, queue.Limits{BadMailMessages: 2})
		defer q.shutdown()
		store.fail.Store(2)
		if got := q.submit("m0", 4000); !slices.Equal(got, []string{"kept m0"}) || store.fail.Load() != 0 {
			t.Errorf("%q", got)
		}
		q.submit("m1", 4000)
		<-time.After(3 * time.Hour)
		if got := q.bad(); !slices.Equal(got, []string{"m0 whole", "m1 whole"}) {
			t.Errorf("%q", got)
		}
	})
}

// badPuts is a store that fails to store bad mail some times.
type badPuts struct {
	queue.Store
	fail atomic.Int32
}

func (s *badPuts) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	if sch.Hop.Destination == queue.BadMailQueue && s.fail.Load() > 0 {
		if s.fail.Add(-1)%2 == 0 {
			return errors.New("the disk is full")
		}
		if err := s.Store.Put(ctx, m, sch); err != nil {
			return err
		}
		return errors.New("the answer is lost") // stored nevertheless
	}
	return s.Store.Put(ctx, m, sch)
}

// The cost of a message beyond the limit does not depend on how many there are.
func TestBadMailCostIsLinear(t *testing.T) {
	calls := func(n int) int {
		store := &countedReads{Store: new(memory.Store)}
		q := runBadQueue(t, store, queue.Limits{BadMailMessages: n})
		defer q.shutdown()
		for i := range 2 * n {
			q.submit(fmt.Sprint("m", i), 10)
		}
		return int(store.n.Load())
	}
	small, large := calls(100), calls(200)
	t.Logf("entries and messages read: %d for 200 messages, %d for 400", small, large)
	if large > 3*small {
		t.Errorf("twice the messages read %d times as much", large/max(small, 1))
	}
}

// countedReads counts the entries and messages that are read.
type countedReads struct {
	queue.Store
	n atomic.Int64
}

func (s *countedReads) Get(ctx context.Context, id string) (*queue.Message, error) {
	s.n.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *countedReads) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	ms, err := s.Store.Claim(ctx, c)
	s.n.Add(int64(len(ms)))
	return ms, err
}

func (s *countedReads) List(ctx context.Context, q queue.Query) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for e, err := range s.Store.List(ctx, q) {
			s.n.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

// Many messages at once do not exceed the limits.
func TestBadMailAtOnce(t *testing.T) {
	for name, open := range badStores {
		t.Run(name, func(t *testing.T) {
			store := open(t, t.TempDir())
			defer store.Close()
			q := runBadQueue(t, store, queue.Limits{BadMailMessages: 20, BadMailBytes: 100_000})
			const n = 400
			for i := range n {
				text := fmt.Sprintf("Subject: m%d\r\n\r\n%s\r\n", i, strings.Repeat("x", 9000))
				m := &queue.Message{Recipients: queue.Rcpt(fmt.Sprintf("m%d@example.net", i)), Content: queue.String(text)}
				if err := q.Submit(context.Background(), m); err != nil {
					t.Fatal(err)
				}
			}
			kept, removed := 0, 0
			for kept < n {
				select {
				case e := <-q.events.C:
					switch e.Kind {
					case queue.EventBadMail:
						kept++
					case queue.EventBadMailRemoved:
						removed++
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("%d of %d messages became bad mail", kept, n)
				}
			}
			q.shutdown() // what is above the limit is removed by then
			var size int64
			left := 0
			for e, err := range store.List(context.Background(), queue.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				left++
				size += e.Size
			}
			if left > 20 || left < 10 || size > 100_000 || removed > n-left {
				t.Errorf("%d messages of %d bytes are left, %d removed", left, size, removed)
			}
		})
	}
}
