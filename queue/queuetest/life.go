package queuetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// concurrency calls Put, Claim, Update and Remove from many goroutines, and
// checks that only one of them has a message at a time.
func concurrency(t *testing.T, f *fixture) {
	const putters, each, takers = 8, 50, 4
	var wg sync.WaitGroup
	for p := range putters {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				m := message(fmt.Sprintf("m-%d-%d", p, i))
				if err := f.st.Put(ctx, m, queue.Schedule{}); err != nil {
					t.Errorf("Put is safe for concurrent use: %v", err)
				}
			}
		}()
	}
	var mu sync.Mutex
	attempts := make(map[string]int)
	ended := 0
	for w := range takers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			me := fmt.Sprint("taker ", w)
			for {
				mu.Lock()
				all := ended == putters*each || t.Failed()
				mu.Unlock()
				if all {
					return
				}
				ms, err := f.st.Claim(ctx, claim(me, 0, 5))
				if err != nil {
					t.Errorf("Claim is safe for concurrent use: %v", err)
				}
				for _, m := range ms {
					if got := m.Recipients[0].Attempts; got != attempts2(&mu, attempts, m.ID) {
						t.Errorf("Claim returns the recipients as the last Update recorded them, and a message is leased to one owner at a time: %s has %d attempts, %d were made", m.ID, got, attempts[m.ID])
					}
					m.Recipients[0].Attempts++
					if m.Recipients[0].Attempts < 3 {
						err = f.st.Update(ctx, me, m, queue.Schedule{})
					} else if err = f.st.Remove(ctx, me, m.ID); err == nil {
						mu.Lock()
						ended++
						mu.Unlock()
					}
					if err != nil {
						t.Errorf("Update and Remove succeed for the owner of the lease while others use the store: %s: %v", m.ID, err)
					}
				}
			}
		}()
	}
	wg.Wait()
	if es := f.list(queue.Query{}); len(es) != 0 {
		t.Fatalf("List does not return removed messages: %d are left", len(es))
	}
}

// attempts2 returns how often the message was claimed before, and counts this
// claim. It is called while the message is leased.
func attempts2(mu *sync.Mutex, attempts map[string]int, id string) int {
	mu.Lock()
	defer mu.Unlock()
	n := attempts[id]
	attempts[id]++
	return n
}

func closed(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	m := f.claim(claim("a", 0, 1))[0]
	leased := message("leased")
	f.put(leased, queue.Schedule{Owner: "a", Until: at(lease)})
	f.remove("a", "leased")
	if err := f.st.Close(); err != nil {
		t.Fatalf("Close of an open store returns no error: %v", err)
	}
	for name, call := range map[string]func() error{
		"Put":    func() error { return f.st.Put(ctx, message("m2"), queue.Schedule{}) },
		"Claim":  func() error { _, err := f.st.Claim(ctx, claim("a", 0, 1)); return err },
		"Next":   func() error { _, err := f.st.Next(ctx, claim("a", 0, 1)); return err },
		"Renew":  func() error { _, err := f.st.Renew(ctx, "a", at(lease), "m1"); return err },
		"Update": func() error { return f.st.Update(ctx, "a", m, queue.Schedule{}) },
		"Remove": func() error { return f.st.Remove(ctx, "a", "m1") },
		"Sync":   func() error { return f.st.Sync(ctx) },
		"Get":    func() error { _, err := f.st.Get(ctx, "m1"); return err },
		"Hops":   func() error { _, err := f.st.Hops(ctx); return err },
		"List": func() (err error) {
			for _, err = range f.st.List(ctx, queue.Query{}) {
			}
			return err
		},
	} {
		if err := call(); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("calls after Close return ErrClosed: %s returned %v", name, err)
		}
	}
	var got strings.Builder
	if _, err := leased.Content.WriteTo(&got); err != nil || got.String() != read(t, hasBytes, message("leased").Content) {
		t.Errorf("content in memory (queue.InMemory) that was given to Put stays readable in m.Content after Remove and after Close: read %q, %v", got.String(), err)
	}
}

func reopen(t *testing.T, f *fixture) {
	f.put(full("m1"), queue.Schedule{Due: at(time.Minute), Hop: hopA})
	f.put(message("m2"), queue.Schedule{Due: at(-2 * time.Second)})
	f.put(message("m3"), queue.Schedule{Due: at(-time.Second)})
	f.put(message("m4"), queue.Schedule{Owner: "a", Until: at(lease)})
	ms := f.claim(claim("a", 0, 10))
	sameIDs(t, claimsDue, ms, "m2", "m3")
	ms[0].Recipients[0].Status = queue.Delivered
	f.update("a", ms[0], queue.Schedule{Due: at(time.Hour), Hop: hopB})
	f.remove("a", "m3")
	f.remove("a", "m4")
	for range 3 { // recovery must not change what the next recovery finds
		f.reopen()
		es := f.list(queue.Query{})
		if len(es) != 2 || es[0].ID != "m1" || es[1].ID != "m2" {
			t.Fatalf("after Close and Open, the store has the messages that were put and not removed: %d, want m1 and m2", len(es))
		}
		if s := es[1].Schedule; s.Hop != hopB || !s.Due.Equal(at(time.Hour)) {
			t.Fatalf("after Close and Open, a message has the Due and Hop of the last Put or Update: m2 has %+v, want Due %v, Hop %v", s, at(time.Hour), hopB)
		}
		sameMessage(t, "after Close and Open, a message has each field as it was put", f.get("m1"), full("m1"))
		if f.get("m2").Recipients[0].Status != queue.Delivered {
			t.Fatal("after Close and Open, a message has the recipients of the last Update: the status of m2's recipient is lost")
		}
	}
	sameIDs(t, "after Close and Open, a message is due at its recorded Due", f.claim(claim("b", time.Minute, 10)), "m1")
	sameIDs(t, byPriority, f.claim(claim("b", time.Hour, 10)), "m2", "m1") // m1 is less urgent
	if err := f.st.Put(ctx, message("m1"), queue.Schedule{}); !errors.Is(err, queue.ErrExists) {
		t.Fatalf("Put returns ErrExists if the ID is in the store, also after Close and Open: %v", err)
	}
}

func reopenVolatile(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	m := f.claim(claim("a", 0, 1))[0]
	m.Recipients[0].Attempts = 7
	f.update("a", m, queue.Schedule{Due: at(time.Hour), Hop: hopA, Volatile: true})
	sameIDs(t, exclusive, f.claim(claim("b", 0, 1)))
	f.reopen()
	ms := f.claim(claim("b", 0, 1))
	sameIDs(t, "after Close and Open, a message with a Volatile schedule is due at once", ms, "m1")
	if n := ms[0].Recipients[0].Attempts; n != 7 {
		t.Fatalf("Update with a Volatile schedule keeps the recipients across Close and Open: %d attempts are recorded, want 7", n)
	}
}

func reopenLeases(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	f.put(message("m2"), queue.Schedule{Owner: "a", Until: at(lease)})
	f.claim(claim("a", 0, 10))
	f.reopen()
	ms := f.claim(claim("b", 0, 10))
	if len(ms) != 2 {
		t.Fatalf("Close releases all leases: after Close and Open, claimed %v, want m1 and m2", ids(ms))
	}
}

// interrupted checks that Close does not make messages interrupted, even if Begin
// was called without End. Crash tests the same after a kill.
func interrupted(t *testing.T, f *fixture) {
	journal, ok := f.st.(queue.DeliveryJournal)
	if !ok {
		t.Log("not tested: the store is not a queue.DeliveryJournal")
		return
	}
	f.put(message("m1"), queue.Schedule{})
	journal.Begin("m1")
	journal.Begin("unknown")
	journal.End("unknown")
	f.reopen()
	if n := f.get("m1").Interrupted; n != 0 {
		t.Fatalf("Close ends what Begin began: Interrupted is %d after Close and Open, want 0", n)
	}
}
