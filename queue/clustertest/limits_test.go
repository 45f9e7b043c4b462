package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
)

// A user is a model of a Queue: it has attempts in progress, and begins one only if it
// has a slot.
type user struct {
	*clustertest.LimitNode
	name               string
	slots, using, want int
}

// ask makes a demand as a Queue does: until the answer, it uses no more than it says.
func (u *user) ask(limit int) error {
	want := max(u.want, u.using)
	have := max(u.using, min(u.slots, want))
	u.slots = min(u.slots, have)
	grants, err := u.ShareLimits(context.Background(), []queue.LimitDemand{{Key: "k", Slots: limit, Have: have, Want: want}})
	if err == nil {
		u.slots = grants[0].Slots
	}
	return err
}

func (u *user) begin() {
	if u.using < min(u.slots, u.want) {
		u.using++
	}
}

// users returns models of n nodes.
func users(l *clustertest.Limits, n int) (all []*user) {
	for i := range n {
		name := string(rune('a' + i))
		all = append(all, &user{LimitNode: l.Node(name), name: name})
	}
	return all
}

func using(all []*user) (sum int) {
	for _, u := range all {
		sum += u.using
	}
	return sum
}

// Whatever the nodes do, and if they lose their contact or die: all together never have
// more attempts in progress than the limit. Afterwards each soon has its fair part.
func TestLimitsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for range 200 {
			var l clustertest.Limits
			limit, all := 1+r.IntN(20), users(&l, 1+r.IntN(6))
			for range 300 {
				u := all[r.IntN(len(all))]
				switch r.IntN(20) {
				case 0:
					u.Cut(true)
				case 1, 2:
					u.Cut(false)
				case 3:
					l.Die(u.name)
					*u = user{LimitNode: l.Node(u.name), name: u.name}
				case 4, 5, 6:
					u.want = r.IntN(12)
				case 7, 8, 9:
					u.using = max(u.using-1, 0)
				case 10, 11, 12, 13:
					u.begin()
				case 14:
					time.Sleep(time.Second)
				default:
					u.ask(limit)
				}
				if n := using(all); n > limit {
					t.Fatalf("%d attempts in progress, the limit is %d", n, limit)
				}
			}
			converges(t, limit, all)
		}
	})
}

// converges checks that all slots that are wanted are used, and fairly, after some rounds
// in which attempts end that are too many.
func converges(t *testing.T, limit int, all []*user) {
	t.Helper()
	wanted := 0
	for range 5 {
		wanted = 0
		for _, u := range all {
			u.Cut(false)
			if err := u.ask(limit); err != nil {
				t.Fatal(err)
			}
			u.using = min(u.using, u.slots, u.want)
			wanted += u.want
		}
	}
	sum, most := 0, 0
	for _, u := range all {
		sum += u.slots
		most = max(most, u.slots)
	}
	if sum != min(limit, wanted) {
		t.Fatalf("%d slots are given, of %d, %d are wanted", sum, limit, wanted)
	}
	for _, u := range all {
		if u.slots < u.want && u.slots < most-1 {
			t.Fatalf("a node has %d slots and wants %d, another one has %d", u.slots, u.want, most)
		}
	}
}

// Three nodes share one slot: each has it in turn, and never two at the same time.
func TestLimitsTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l clustertest.Limits
		all := users(&l, 3)
		begun := map[string]int{}
		for range 60 {
			for _, u := range all {
				u.want, u.using = 5, 0 // the attempt has ended
				if err := u.ask(1); err != nil {
					t.Fatal(err)
				}
				if u.begin(); u.using > 0 {
					begun[u.name]++
				}
			}
			if n := using(all); n > 1 {
				t.Fatalf("%d attempts at the same time", n)
			}
			time.Sleep(time.Second)
		}
		for _, u := range all {
			if begun[u.name] < 10 {
				t.Errorf("in 60 s, %s has had the slot %d times: %v", u.name, begun[u.name], begun)
			}
		}
	})
}

// The times of a rate are given to one node each, without gaps, and all nodes get some.
func TestLimitsRate(t *testing.T) {
	for _, rate := range []float64{1. / 7, 1, 30} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l clustertest.Limits
				all, total := users(&l, 3), map[string]time.Duration{}
				next, began := time.Now(), time.Now()
				for range 210 {
					for _, u := range all {
						grants, err := u.ShareLimits(t.Context(), []queue.LimitDemand{{Key: "k", Rate: rate, Begins: 1000}})
						if err != nil {
							t.Fatal(err)
						}
						g := grants[0]
						if from := time.Now().Add(g.From); g.For > 0 && !from.Equal(next) {
							t.Fatalf("%s begins at %v, the time before has ended at %v", u.name, from.Sub(began), next.Sub(began))
						}
						next = next.Add(g.For)
						total[u.name] += g.For
					}
					time.Sleep(time.Second)
				}
				for _, u := range all {
					if total[u.name] < 60*time.Second {
						t.Errorf("in 210 s, %s has had %v: %v", u.name, total[u.name], total)
					}
				}
			})
		})
	}
}

// What a node does not use is free: when it ends its demand, and when it dies. Without
// contact it gets nothing, and keeps what it has.
func TestLimitsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l clustertest.Limits
		all := users(&l, 3)
		a, b := all[0], all[1]
		check := func(what string, u *user, want int) {
			t.Helper()
			if err := u.ask(4); err != nil || u.slots != want {
				t.Errorf("%s: %d slots, want %d, %v", what, u.slots, want, err)
			}
		}
		a.want, b.want = 9, 9
		check("alone", a, 4)
		check("the others have all", b, 0)
		check("the other one wants some", a, 2)
		check("which are still the other's until it has said that it has less", b, 0)
		check("it has said so", a, 2)
		check("and they are free", b, 2)
		a.want, a.slots = 0, 0
		check("idle", a, 0)
		check("the other one is idle", b, 4)
		b.Cut(true)
		if err := b.ask(4); !errors.Is(err, queue.ErrUnavailable) || b.slots != 4 || b.Members() != 3 {
			t.Errorf("without contact: %v, %d slots, %d nodes", err, b.slots, b.Members())
		}
		a.want = 4
		check("the other one has no contact", a, 0)
		l.Die(b.name)
		check("the other one is dead", a, 4)
		if n := a.Members(); n != 2 {
			t.Errorf("%d nodes", n)
		}
	})
}

// Nodes count together, in a sliding period.
func TestAddCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l clustertest.Limits
		all := users(&l, 2)
		add := func(u *user, messages, recipients, wantMessages, wantRecipients float64) {
			t.Helper()
			c := []queue.SharedCount{{Key: "k", Per: time.Hour, Messages: messages, Recipients: recipients}}
			got, err := u.AddCounts(t.Context(), c)
			if err != nil || got[0].Messages != wantMessages || got[0].Recipients != wantRecipients {
				t.Errorf("%+v, %v", got, err)
			}
		}
		add(all[0], 4, 8, 4, 8)
		add(all[1], 4, 0, 8, 8)
		time.Sleep(90 * time.Minute)
		add(all[0], 0, 1, 4, 5)
		time.Sleep(time.Hour)
		add(all[0], 0, 0, 0, 0.5)
		all[0].Cut(true)
		if _, err := all[0].AddCounts(t.Context(), nil); !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
	})
}
