package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestIDs adds and deletes short and long IDs in random order, and compares the
// result with a sorted slice. (queuetest tests Claim and Next.)
func TestIDs(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var x Index[int]
	slots := make(map[string]Slot)
	name := func() string {
		return fmt.Sprintf("%x%s", rnd.IntN(20000), strings.Repeat("x", rnd.IntN(2)*40))
	}
	for range 50000 {
		id := name()
		if s, ok := slots[id]; ok && rnd.IntN(3) > 0 {
			x.Delete(s)
			delete(slots, id)
			continue
		}
		s, ok := x.Add(id, Facts{})
		if _, had := slots[id]; ok == had {
			t.Fatalf("Add %s: %v", id, ok)
		}
		if ok {
			x.Show(s, queue.Schedule{})
			slots[id] = s
		}
	}
	want := make([]string, 0, len(slots))
	for id, s := range slots {
		want = append(want, id)
		if got, ok := x.Find(id); !ok || got != s || x.ID(s) != id {
			t.Fatalf("Find %s: %d, %v; ID %s", id, got, ok, x.ID(s))
		}
	}
	slices.Sort(want)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page := x.After(after, 100)
		if len(page) == 0 {
			break
		}
		for _, s := range page {
			got = append(got, x.ID(s))
		}
	}
	if !slices.Equal(got, want) || x.Len() != len(want) {
		t.Fatalf("%d IDs in order, want %d", len(got), len(want))
	}
	for id, s := range slots {
		x.Delete(s)
		if _, ok := x.Find(id); ok {
			t.Fatalf("%s is found after Delete", id)
		}
	}
	if n := len(x.ids.list) + len(x.long) + len(x.hops.nums) + len(x.owners.nums); n != 0 {
		t.Fatalf("an empty index has %d things left", n)
	}
}

// An entry that was not shown yet is found only by its ID.
func TestHidden(t *testing.T) {
	var x Index[int]
	s, _ := x.Add("a", Facts{})
	c := queue.Claim{Owner: "me", Now: time.Unix(1, 0), Until: time.Unix(2, 0), Max: 10}
	if _, ok := x.Find("a"); !ok || len(x.Claim(c)) != 0 || len(x.After("", 10)) != 0 || !x.Next(c).IsZero() || x.Len() != 0 {
		t.Error("a hidden entry is seen")
	}
	c.ID = "a"
	if len(x.Claim(c)) != 0 {
		t.Error("a hidden entry is claimed by its ID")
	}
	x.Show(s, queue.Schedule{})
	if len(x.Claim(c)) != 1 {
		t.Error("a shown entry is not claimed")
	}
}

// BenchmarkClaim claims one message at a time. 200,000 due messages wait for a
// dead hop, and 100 messages for each of 100 other hops.
func BenchmarkClaim(b *testing.B) {
	var x Index[int]
	dead := queue.NextHop{Destination: "dead.example"}
	now := time.Unix(1e9, 0)
	put := func(n int, hop queue.NextHop) {
		for i := range n {
			s, _ := x.Add(fmt.Sprintf("%s-%07d", hop.Destination, i), Facts{})
			x.Show(s, queue.Schedule{Due: now.Add(-time.Duration(i)), Hop: hop})
		}
	}
	put(200000, dead)
	for i := range 100 {
		put(100, queue.NextHop{Destination: fmt.Sprintf("live%d.example", i)})
	}
	c := queue.Claim{Owner: "me", Now: now, Until: now.Add(time.Hour), Except: map[queue.NextHop]bool{dead: true}}
	for b.Loop() {
		taken := x.Claim(c)
		if len(taken) != 1 {
			b.Fatal("nothing claimed")
		}
		x.Reschedule(taken[0], queue.Schedule{Due: now, Hop: queue.NextHop{Destination: "live1.example"}})
	}
}
