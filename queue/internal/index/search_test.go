package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// find returns the IDs of all messages that a search selects.
func find(t *testing.T, x *Index[int], s queue.Search) (ids []string) {
	t.Helper()
	locked := func(f func(*Index[int])) error { f(x); return nil }
	for e, err := range Search(t.Context(), s, locked) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	if n, err := CountMatches(t.Context(), s, locked); n != len(ids) || err != nil {
		t.Fatalf("CountMatches %+v: %d, %v; Search has found %d", s, n, err, len(ids))
	}
	return ids
}

// Searches find what a look at each message finds, in lists of many blocks, after random
// changes, and also in an index that was loaded with the same messages.
func TestSearchAgainstAScan(t *testing.T) {
	type message struct {
		facts Facts
		rcpts []Recipient
		sch   queue.Schedule
		from  string
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	var x, loaded Index[int]
	all := map[string]*message{}
	t0 := time.Unix(1e9, 0)
	address := func() string { return fmt.Sprintf("a%d@d%d", rnd.IntN(rnd.IntN(200)+1), rnd.IntN(2)) }
	recipients := func() (rs []Recipient) {
		for range 1 + rnd.IntN(2)*rnd.IntN(3) {
			rs = append(rs, HashRecipient(&queue.Recipient{Addr: address(), Status: queue.Status(rnd.IntN(2)), Attempts: rnd.IntN(2)}))
		}
		return rs
	}
	schedule := func() queue.Schedule {
		return queue.Schedule{Hop: []queue.NextHop{hopA, hopB, {Destination: queue.PoisonQueue}}[rnd.IntN(3)], Due: t0.Add(time.Duration(rnd.IntN(3)-1) * time.Hour)}
	}
	for range 12000 {
		id := fmt.Sprintf("%05d", rnd.IntN(3000))
		m := all[id]
		s, _ := x.Find(id)
		switch {
		case m == nil:
			m = &message{from: address(), rcpts: recipients(), sch: schedule()}
			m.facts = Facts{From: HashAddress(m.from), Size: int64(rnd.IntN(1000)), Received: t0.Add(time.Duration(len(all)) * time.Second)}
			if rnd.IntN(2000) == 0 {
				m.facts.Size = 1e6
			}
			all[id] = m
			s, _ = x.Add(id, m.facts)
			x.SetRecipients(s, m.rcpts)
			x.Show(s, m.sch)
		case rnd.IntN(3) == 0:
			x.Delete(s)
			delete(all, id)
		case rnd.IntN(2) == 0:
			m.rcpts, m.sch = recipients(), schedule()
			x.SetRecipients(s, m.rcpts)
			x.Reschedule(s, m.sch)
		default:
			i := rnd.IntN(len(m.rcpts))
			m.rcpts[i], m.sch = recipients()[0], schedule()
			x.ChangeRecipients(s, []int{i}, m.rcpts[i:i+1])
			x.Reschedule(s, m.sch)
		}
	}
	loaded.Load()
	for id, m := range all {
		s, _ := loaded.Add(id, m.facts)
		loaded.SetRecipients(s, m.rcpts)
		loaded.Show(s, m.sch)
	}
	loaded.Open()
	selects := func(id string, m *message, s *queue.Search) bool {
		e := queue.Entry{Schedule: m.sch}
		waits, found, foundEnded := false, false, false
		for _, r := range m.rcpts {
			same := r.Address == HashAddress(s.Recipient)
			e.Attempted, waits = e.Attempted || r.attempted, waits || !r.ended
			found, foundEnded = found || same && !r.ended, foundEnded || same
		}
		return id > s.After && (s.From == "" || s.From == m.from) && (s.Recipient == "" || found || !waits && foundEnded) &&
			(s.Hop == nil || *s.Hop == m.sch.Hop) && (s.Status == 0 || e.Status(s.Wall) == s.Status) &&
			m.facts.Size >= s.MinSize && (s.MaxSize == 0 || m.facts.Size <= s.MaxSize) &&
			(s.Since.IsZero() || !m.facts.Received.Before(s.Since)) && (s.Before.IsZero() || m.facts.Received.Before(s.Before))
	}
	for range 120 {
		s := queue.Search{Wall: t0}
		for range 1 + rnd.IntN(3) {
			switch rnd.IntN(8) {
			case 0:
				s.From = address()
			case 1:
				s.Recipient = address()
			case 2:
				s.Hop = &hopA
			case 3:
				s.Status = []queue.MessageStatus{queue.MessageReady, queue.MessageRetry, queue.MessageHeld, queue.MessagePoison}[rnd.IntN(4)]
			case 4:
				s.After = fmt.Sprintf("%05d", rnd.IntN(3000))
			case 5:
				s.MinSize = []int64{500, 1e5, 1e7}[rnd.IntN(3)]
			case 6:
				s.MaxSize = int64(rnd.IntN(20))
			case 7:
				s.Since = t0.Add(time.Duration(rnd.IntN(4000)) * time.Second)
				s.Before = s.Since.Add(time.Duration(rnd.IntN(1000)) * time.Second)
			}
		}
		var want []string
		for id, m := range all {
			if selects(id, m, &s) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		for name, index := range map[string]*Index[int]{"changed": &x, "loaded": &loaded} {
			if got := find(t, index, s); !slices.Equal(got, want) {
				t.Fatalf("%s: Search %+v: %d messages %v, want %d %v", name, s, len(got), got, len(want), want)
			}
		}
	}
	for i, sum := range x.Hops() {
		oldest := time.Unix(1e10, 0)
		for _, m := range all {
			if m.sch.Hop == sum.Hop && m.facts.Received.Before(oldest) {
				oldest = m.facts.Received
			}
		}
		if !sum.Oldest.Equal(oldest) {
			t.Errorf("sum %d: %v, want %v", i, sum, oldest)
		}
	}
	for id := range all {
		s, _ := x.Find(id)
		x.Delete(s)
	}
	n := x.bySender.n + x.byRecipient.n + len(x.many)
	for _, l := range x.byState {
		n += l.n
	}
	if n != 0 {
		t.Errorf("%d entries are left in the lists of an empty index", n)
	}
}

// A change of one recipient does not look at the others, and the last one that ends
// makes all of them sought.
func TestManyRecipients(t *testing.T) {
	const n = 1000
	var x Index[int]
	s, _ := x.Add("m", Facts{})
	var rs []Recipient
	for i := range n {
		rs = append(rs, HashRecipient(&queue.Recipient{Addr: fmt.Sprintf("a%d@example.net", i)}))
	}
	x.SetRecipients(s, rs)
	x.Show(s, queue.Schedule{})
	for i := range n {
		addr := fmt.Sprintf("a%d@example.net", i)
		if got := find(t, &x, queue.Search{Recipient: addr}); len(got) != 1 {
			t.Fatalf("recipient %d is not found", i)
		}
		x.ChangeRecipients(s, []int{i}, []Recipient{HashRecipient(&queue.Recipient{Addr: addr, Status: queue.Delivered, Attempts: 1})})
		x.Reschedule(s, queue.Schedule{})
		if got := find(t, &x, queue.Search{Recipient: addr}); len(got) != 0 && i < n-1 {
			t.Fatalf("recipient %d is found although it has ended and others wait", i)
		}
		if want := n - 1 - i; x.byRecipient.n != want && i < n-1 {
			t.Fatalf("%d postings for %d recipients that wait", x.byRecipient.n, want)
		}
	}
	if x.byRecipient.n != n {
		t.Errorf("%d postings of a message of which no recipient waits, want %d", x.byRecipient.n, n)
	}
}
