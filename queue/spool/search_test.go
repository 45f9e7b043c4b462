package spool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Search finds what a look at each message finds, after random operations with
// compaction and restarts. Some messages have many recipients, whose states change one
// by one. (queuetest has the rules of Search, with fewer recipients.)
func TestSearchAgainstAScan(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	disk := newSimFS(seed)
	open := func() *Spool {
		s := openSim(t, disk)
		s.log.mu.Lock()
		s.log.compactAge = 0
		s.log.mu.Unlock()
		return s
	}
	s := open()
	moved := int64(0)
	address := func() string { return fmt.Sprintf("a%d@d%d.example", rnd.IntN(40), rnd.IntN(5)) }
	stored := map[string]*queue.Message{}
	schedule := func() queue.Schedule {
		sch := forever
		sch.Hop.Destination = []string{"", "a.example", queue.SuspendedQueue}[rnd.IntN(3)]
		if sch.Due = time.Unix(int64(rnd.IntN(2))*2e9, 0); rnd.IntN(2) == 0 {
			sch.Wait = time.Minute
		}
		return sch
	}
	for step := range 600 {
		id := fmt.Sprintf("m%d", rnd.IntN(120))
		m := stored[id]
		var err error
		switch n := rnd.IntN(10); {
		case m == nil:
			m = testMessage(id, trialContent(id, 500))
			m.From, m.Recipients = address(), nil
			for range 1 + rnd.IntN(3)*rnd.IntN(30) {
				m.Recipients = append(m.Recipients, queue.Rcpt(address())...)
			}
			stored[id] = m
			err = s.Put(bg, m, schedule())
		case n < 3:
			err = s.Remove(bg, "me", id)
			delete(stored, id)
		case n < 5: // a redirection or an expansion
			m.Recipients[rnd.IntN(len(m.Recipients))] = queue.Rcpt(address())[0]
			m.Recipients = append(m.Recipients, queue.Rcpt(address())...)
			err = s.Update(bg, "me", m, schedule())
		default:
			i := rnd.IntN(len(m.Recipients))
			m.Recipients[i].Attempts, m.Recipients[i].Status = 1, queue.Status(rnd.IntN(3))
			err = s.UpdateRecipients(bg, "me", m, []int{i}, schedule())
		}
		if err != nil {
			t.Fatal(err)
		}
		if step%100 == 50 { // leave few messages in each segment
			for i := range 200 {
				id := fmt.Sprintf("f%d", i)
				if err := s.Put(bg, testMessage(id, trialContent(id, 1000)), forever); err != nil {
					t.Fatal(err)
				}
				if err := s.Remove(bg, "me", id); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Sync(bg); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				s.tidy()
			}
		}
		if step%100 == 99 {
			checkSearches(t, s, stored, address)
			moved += s.Stats().Moved
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
			for e, err := range s.List(bg, queue.Query{}) { // lease them again
				if _, err2 := s.Claim(bg, queue.Claim{ID: e.ID, Owner: "me", Now: time.Unix(1, 0), Until: forever.Until}); err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
			}
			checkSearches(t, s, stored, address)
		}
	}
	if s.Stats().Messages == 0 || moved == 0 {
		t.Errorf("%d messages are left, compaction has moved %d bytes", s.Stats().Messages, moved)
	}
}

// checkSearches compares searches with a look at each message.
func checkSearches(t *testing.T, s *Spool, stored map[string]*queue.Message, address func() string) {
	t.Helper()
	for range 30 {
		from, rcpt := address(), address()
		wall := time.Unix(1e9, 0)
		for _, q := range []queue.Search{{From: from}, {Recipient: rcpt}, {From: from, Recipient: rcpt}, {Status: queue.MessageReady, Wall: wall},
			{Status: queue.MessageRetry, Wall: wall}, {Status: queue.MessageHeld, Wall: wall}, {Status: queue.MessageSuspended, Recipient: rcpt}} {
			var got, want []string
			for e, err := range s.Search(bg, q) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.ID)
			}
			for e, err := range s.List(bg, queue.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				if scanSelects(e, stored[e.ID], &q) {
					want = append(want, e.ID)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("Search %+v: %v, want %v", q, got, want)
			}
		}
	}
}

// scanSelects reports whether a search selects a message.
func scanSelects(e *queue.Entry, m *queue.Message, q *queue.Search) bool {
	facts := *e
	facts.Attempted = slices.ContainsFunc(m.Recipients, func(r *queue.Recipient) bool { return r.Attempts > 0 })
	to := (&queue.AgeQuery{}).Addresses(m)
	return (q.From == "" || m.From == q.From) && (q.Recipient == "" || slices.Contains(to, q.Recipient)) &&
		(q.Status == 0 || facts.Status(q.Wall) == q.Status)
}
