package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var hopA, hopB, hopC = queue.NextHop{Destination: "a"}, queue.NextHop{Destination: "b"}, queue.NextHop{Destination: "c"}

// pages returns the IDs of all pages of a query, and the number of pages.
func pages(x *Index[int], q queue.Query) (ids []string, n int) {
	for {
		page, more := x.Page(q)
		n++
		for _, e := range page {
			ids = append(ids, e.ID)
		}
		if q.After = more; more == "" {
			return ids, n
		}
	}
}

// The pages of some hops have exactly their messages, in the order of their IDs, also
// after messages have changed their hops or ended.
func TestPageOfHops(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var x Index[int]
	hops := []queue.NextHop{hopA, hopB, hopC, {}}
	hopOf := make(map[string]queue.NextHop)
	for range 20000 {
		id, hop := fmt.Sprintf("%x", rnd.IntN(3000)), hops[rnd.IntN(4)]
		if rnd.IntN(10) == 0 {
			id += "-a-long-ID-that-is-not-in-the-entry-itself"
		}
		s, found := x.Find(id)
		switch {
		case !found:
			s, _ = x.Add(id, Facts{Priority: rnd.IntN(3)})
			x.Show(s, queue.Schedule{Hop: hop})
			hopOf[id] = hop
		case rnd.IntN(3) == 0:
			x.Delete(s)
			delete(hopOf, id)
		default:
			x.Reschedule(s, queue.Schedule{Hop: hop})
			hopOf[id] = hop
		}
	}
	for _, q := range []queue.Query{
		{}, {Hop: &hopA}, {Hop: &hopB, Also: []queue.NextHop{{}}}, {Hop: &hopA, Also: []queue.NextHop{hopB, hopC, hopA, {}}},
		{Hop: &hopA, After: "7"}, {Hop: &hopC, Also: []queue.NextHop{hopA}, After: "8ff"}, {Hop: &queue.NextHop{Destination: "unknown"}},
	} {
		var want []string
		for id, hop := range hopOf {
			if id > q.After && (q.Hop == nil || hop == *q.Hop || slices.Contains(q.Also, hop)) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		if got, _ := pages(&x, q); !slices.Equal(got, want) {
			t.Errorf("%+v: %d messages, want %d", q, len(got), len(want))
		}
	}
}

// backlog returns an index with n messages for hop A, and ten for hop B among them.
func backlog(n int) *Index[int] {
	var x Index[int]
	for i := range n {
		s, _ := x.Add(fmt.Sprintf("%08d", i), Facts{})
		x.Show(s, queue.Schedule{Hop: hopA})
		if i%(n/10) == 0 {
			s, _ = x.Add(fmt.Sprintf("%08d-b", i), Facts{})
			x.Show(s, queue.Schedule{Hop: hopB})
		}
	}
	return &x
}

// A page of a hop with few messages does not visit the backlog of another hop.
func TestPageVisitsOnlyItsHop(t *testing.T) {
	x := backlog(20000)
	if ids, n := pages(x, queue.Query{Hop: &hopB}); len(ids) != 10 || n != 1 {
		t.Errorf("%d messages in %d pages, want 10 in one", len(ids), n)
	}
	if ids, n := pages(x, queue.Query{Hop: &hopA}); len(ids) != 20000 || n != 20000/pageMost+1 {
		t.Errorf("%d messages in %d pages", len(ids), n)
	}
}

func BenchmarkPageOfHop(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		x := backlog(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pages(x, queue.Query{Hop: &hopB})
			}
		})
	}
}

// A message that arrives and is removed at once: the most frequent operations.
func BenchmarkShowAndDelete(b *testing.B) {
	x := backlog(100_000)
	b.ReportAllocs()
	for b.Loop() {
		s, _ := x.Add("00050000-c", Facts{})
		x.Show(s, queue.Schedule{Hop: hopA})
		x.Delete(s)
	}
}
