package queuetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The rules of queue.Searcher.
const (
	searchFinds = "Search returns the messages that s selects, in the order of their IDs, after s.After"
	countsAll   = "CountMatches returns the number of messages that Search would return"
	countsAges  = "AgesByDomain returns a row for each of the q.Most domains with the highest counts, in this order, and the sum of the others"
)

// search tests a store that is a Searcher with a few messages. AgainstAModel tests it
// with many.
func search(t *testing.T, f *fixture) {
	st, ok := f.st.(queue.Searcher)
	if !ok {
		return
	}
	put := func(id, from string, s queue.Schedule, rcpts ...*queue.Recipient) {
		m := message(id)
		m.From, m.Recipients = from, rcpts
		f.put(m, s)
	}
	ended := func(addr string) *queue.Recipient {
		return &queue.Recipient{Addr: addr, Status: queue.Delivered, Attempts: 1}
	}
	later := at(time.Hour)
	put("m1", "Alice@Example.ORG", queue.Schedule{Hop: hopA}, queue.Rcpt("BOB@example.net")...)
	put("m2", "alice@example.org", queue.Schedule{Hop: hopA, Due: later}, queue.Rcpt("carol@example.net", "bob@EXAMPLE.net")...)
	put("m3", "", queue.Schedule{Hop: hopB, Due: later, Wait: time.Hour}, ended("bob@example.net"), queue.Rcpt("dave@example.com")[0])
	put("m4", "ÄRGER@example.org", queue.Schedule{Hop: queue.NextHop{Destination: queue.BadMailQueue}}, ended("bob@example.net"))
	put("m5", "alice@example.organisation", queue.Schedule{Hop: hopC, Due: later, Wait: time.Hour}, queue.Rcpt("bob@example.net.example")...)
	for _, tc := range []struct {
		s    queue.Search
		want string
		rule string
	}{
		{queue.Search{}, "[m1 m2 m3 m4 m5]", searchFinds},
		{queue.Search{ID: "m2"}, "[m2]", searchFinds},
		{queue.Search{ID: "m2", From: "other@example.org"}, "[]", searchFinds},
		{queue.Search{From: "alice@example.org"}, "[m1 m2]", "addresses are equal if strings.ToLower makes them equal"},
		{queue.Search{From: "ärger@EXAMPLE.org"}, "[m4]", "addresses are equal if strings.ToLower makes them equal"},
		{queue.Search{From: "alice@example.org", Query: queue.Query{After: "m1"}}, "[m2]", searchFinds},
		{queue.Search{From: "<>"}, "[m3]", "Search.From <> is the null reverse-path"},
		{queue.Search{Recipient: "Bob@Example.Net"}, "[m1 m2 m4]",
			"Search finds a message by its recipients that wait, and by all recipients only if none waits"},
		{queue.Search{Recipient: "bob@example.net", From: "alice@example.org", Query: queue.Query{Hop: &hopA}}, "[m1 m2]", searchFinds},
		{queue.Search{Query: queue.Query{Hop: &hopB, Also: []queue.NextHop{hopA, hopB}}}, "[m1 m2 m3]", searchFinds},
		{queue.Search{Status: queue.MessageReady, Wall: t0}, "[m1 m5]", "Search.Status selects messages by Entry.Status at the time Wall"},
		{queue.Search{Status: queue.MessageReady, Wall: later}, "[m1 m2 m5]", "Search.Status selects messages by Entry.Status at the time Wall"},
		{queue.Search{Status: queue.MessageHeld, Wall: t0}, "[m2]", "Search.Status selects messages by Entry.Status at the time Wall"},
		{queue.Search{Status: queue.MessageRetry, Wall: t0}, "[m3]", "a message has the status MessageRetry if a recipient has had an attempt"},
		{queue.Search{Status: queue.MessageBad, Wall: t0}, "[m4]", "Search.Status selects messages by Entry.Status at the time Wall"},
	} {
		sameSearch(t, st, tc.rule, tc.s, tc.want)
	}

	// A redirected or expanded message is found by its new recipients.
	m := f.claim(queue.Claim{Owner: "a", Until: at(lease), Now: t0, ID: "m1"})[0]
	m.Recipients = []*queue.Recipient{ended("bob@example.net"), queue.Rcpt("erin@example.net")[0]}
	f.update("a", m, queue.Schedule{Hop: hopB, Due: later, Wait: time.Hour})
	updated := "after Update, Search finds a message by its new recipients and not by those that have ended"
	sameSearch(t, st, updated, queue.Search{Recipient: "erin@example.net"}, "[m1]")
	sameSearch(t, st, updated, queue.Search{Recipient: "bob@example.net"}, "[m2 m4]")
	sameSearch(t, st, "after Update, the status of a message is that of its new state", queue.Search{Status: queue.MessageRetry, Wall: t0}, "[m1 m3]")
	f.claim(queue.Claim{Owner: "a", Until: at(lease), Now: t0, ID: "m1"})
	f.remove("a", "m1")
	sameSearch(t, st, "Search does not return a message after Remove", queue.Search{Recipient: "erin@example.net"}, "[]")
	sameSearch(t, st, "Search does not return a message after Remove", queue.Search{From: "alice@example.org"}, "[m2]")

	rows, rest, err := st.AgesByDomain(ctx, queue.AgeQuery{Most: 1, Bounds: []time.Time{at(time.Hour), t0}, Except: []queue.NextHop{hopC}})
	if got := fmt.Sprint(rows, rest, err); got != "[{example.net 3 [0 3 0]}] { 1 [0 1 0]} <nil>" {
		t.Errorf("%s: got %s", countsAges, got)
	}
}

// hopsDeferred checks that HopSum.Deferred follows the attempts and the hops of
// messages.
func hopsDeferred(t *testing.T, f *fixture) {
	if _, ok := f.st.(queue.Searcher); !ok {
		t.Log("not tested: the store is not a queue.Searcher")
		return
	}
	check := func(a, b int) {
		t.Helper()
		hs, err := f.st.Hops(ctx)
		got := map[queue.NextHop]int{}
		for _, h := range hs {
			got[h.Hop] = h.Deferred
		}
		if err != nil || got[hopA] != a || got[hopB] != b {
			t.Fatalf("HopSum.Deferred of a Searcher is the number of messages with a recipient that has had an attempt: %v, %v; want %d and %d", got, err, a, b)
		}
	}
	for _, id := range []string{"m1", "m2", "m3"} {
		f.put(message(id), queue.Schedule{Hop: hopA})
	}
	check(0, 0)
	ms := f.claim(claim("a", 0, 2))
	wait := queue.Schedule{Due: at(time.Hour), Wait: time.Hour, Hop: hopA}
	for _, m := range ms {
		m.Recipients[0].Attempts = 1
		f.update("a", m, wait)
	}
	check(2, 0)
	c := claim("a", 0, 1)
	c.ID = ms[0].ID
	m := f.claim(c)[0]
	check(2, 0) // a leased message counts too
	wait.Hop = hopB
	f.update("a", m, wait)
	check(1, 1)
	f.claim(c)
	f.remove("a", m.ID)
	check(1, 0)
	c.ID = ms[1].ID
	m = f.claim(c)[0]
	m.Recipients[0].Attempts = 0
	f.update("a", m, queue.Schedule{Hop: hopA})
	check(0, 0)
}

// sameSearch compares the result of a search with the IDs expected, and with
// CountMatches.
func sameSearch(t *testing.T, st queue.Searcher, rule string, s queue.Search, want string) {
	t.Helper()
	got := []string{}
	for e, err := range st.Search(ctx, s) {
		if err != nil {
			t.Fatalf("Search of an open store returns no error: %v", err)
		}
		got = append(got, e.ID)
	}
	if fmt.Sprint(got) != want {
		t.Fatalf("%s: Search %+v returned %v, want %s", rule, s, got, want)
	}
	if n, err := st.CountMatches(ctx, s); n != len(got) || err != nil {
		t.Fatalf("%s: CountMatches %+v returned %d, %v; Search returned %d messages", countsAll, s, n, err, len(got))
	}
}

// Addresses for the model. Each address has two spellings.
var (
	modelSenders    = []string{"", "a@one.example", "A@One.Example", "b@two.example", "B@TWO.example"}
	modelRecipients = []string{"r0@one.example", "R0@one.example", "r1@two.example", "r2@Three.example", "r3@three.example", "nobody"}
)

// checkSearch compares random searches with the model, which looks at each message.
func (md *model) checkSearch() {
	st, ok := md.f.st.(queue.Searcher)
	if !ok {
		return
	}
	for range 20 {
		s := queue.Search{Wall: at(md.now)}
		if md.rnd.IntN(2) == 0 {
			s.From = cmp.Or(modelSenders[md.rnd.IntN(len(modelSenders))], "<>")
		}
		if md.rnd.IntN(2) == 0 {
			s.Recipient = modelRecipients[md.rnd.IntN(len(modelRecipients))]
		}
		if md.rnd.IntN(2) == 0 {
			s.Hop, s.Also = &hopA, []queue.NextHop{{}}
		}
		if md.rnd.IntN(2) == 0 {
			s.Status = []queue.MessageStatus{queue.MessageReady, queue.MessageRetry, queue.MessageHeld}[md.rnd.IntN(3)]
		}
		if md.rnd.IntN(4) == 0 {
			s.After = fmt.Sprintf("%x", md.rnd.IntN(256))
		}
		if md.rnd.IntN(4) == 0 {
			s.Since, s.Before = at(md.now/4), at(md.now/2)
		}
		if md.rnd.IntN(4) == 0 {
			s.MinSize = 100
		}
		want := []string{}
		for id, mm := range md.stored {
			if mm.matches(&s) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		sameSearch(md.f.t, st, searchFinds, s, fmt.Sprint(want))
	}
	md.checkAges(st)
}

func (mm *modelMessage) matches(s *queue.Search) bool {
	m := mm.m
	facts := queue.Entry{Schedule: mm.s}
	waits, found, foundEnded := false, false, false
	for _, r := range m.Recipients {
		same := sameAddress(r.Addr, s.Recipient)
		facts.Attempted = facts.Attempted || r.Attempts > 0
		if r.Status == queue.Waiting {
			waits, found = true, found || same
		}
		foundEnded = foundEnded || same
	}
	size := m.Content.Size()
	return m.ID > s.After && size >= s.MinSize &&
		(s.From == "" || sameAddress(cmp.Or(m.From, "<>"), s.From)) &&
		(s.Recipient == "" || found || !waits && foundEnded) &&
		(s.Hop == nil || mm.s.Hop == *s.Hop || slices.Contains(s.Also, mm.s.Hop)) &&
		(s.Status == 0 || facts.Status(s.Wall) == s.Status) &&
		(s.Since.IsZero() || !m.Received.Before(s.Since) && m.Received.Before(s.Before))
}

// sameAddress is the rule of queue.Searcher. (strings.EqualFold is another one.)
func sameAddress(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b
}

// checkAges compares AgesByDomain with the model.
func (md *model) checkAges(st queue.Searcher) {
	q := queue.AgeQuery{Sender: md.rnd.IntN(2) == 0, Bounds: []time.Time{at(md.now / 2), at(md.now / 4)}, Most: 1000}
	if md.rnd.IntN(2) == 0 {
		q.Hop = &hopB
	}
	want := map[string]int{}
	for _, mm := range md.stored {
		if q.Hop == nil || mm.s.Hop == *q.Hop {
			for _, a := range q.Addresses(mm.m) {
				want[fmt.Sprint(queue.AddressDomain(a), q.Age(mm.m.Received))]++
			}
		}
	}
	rows, rest, err := st.AgesByDomain(ctx, q)
	got := map[string]int{}
	for _, r := range rows {
		for age, n := range r.Ages {
			if n > 0 {
				got[fmt.Sprint(r.Domain, age)] = n
			}
		}
	}
	if err != nil || rest.Total != 0 || fmt.Sprint(got) != fmt.Sprint(want) {
		md.f.t.Fatalf("%s: AgesByDomain %+v returned %v, rest %v, %v; want %v", countsAges, q, got, rest, err, want)
	}
}
