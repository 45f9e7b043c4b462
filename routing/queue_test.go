package routing

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// relay runs a queue with a router in a bubble whose clock starts at midnight
// UTC. It records what the connectors send, and the time since then.
type relay struct {
	r     *Router
	q     *queue.Queue
	mu    sync.Mutex
	began time.Time
	ahead atomic.Int64 // of the wall clock
	came  []string     // "domain at"
}

func newRelay(t *testing.T, connectors ...Connector) *relay {
	t.Helper()
	x := &relay{began: time.Now()}
	for i := range connectors {
		if connectors[i].Transport == nil {
			connectors[i].Transport = x
		}
	}
	clock := wall.Reading(func() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) })
	x.r = &Router{Hostname: "relay.test", Table: table(t, connectors...), Clock: clock}
	x.q = &queue.Queue{Store: new(memory.Store), Deliverer: x.r, Hostname: "relay.test", Clock: clock}
	x.r.Wake = WakeQueue(x.q)
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	running.Go(func() {
		if err := x.q.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait(); x.q.Store.Close() })
	return x
}

func (x *relay) Deliver(_ context.Context, j *Job) []queue.Result {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range j.Recipients {
		x.came = append(x.came, r.Addr+" "+time.Since(x.began).Round(time.Minute).String())
	}
	return sameResults(len(j.Recipients), queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250}})
}

func (x *relay) submit(t *testing.T, to string, size int) {
	t.Helper()
	m := &queue.Message{Recipients: queue.Rcpt(to), Content: queue.Bytes([]byte("Subject: x\r\n\r\n"), make([]byte, max(0, size-14)))} // no sender: no reports
	if err := x.q.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (x *relay) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	slices.Sort(x.came) // messages of the same time can arrive in any order
	if !slices.Equal(x.came, want) {
		t.Errorf("%s: got %q, want %q", when, x.came, want)
	}
}

func TestTheQueueWaitsForTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRelay(t, Connector{Name: "night", Spaces: []string{"*"},
			Schedule: schedule(t, "08:00-18:00", time.UTC), OversizeSize: 1000, OversizeSchedule: schedule(t, "20:00-22:00", time.UTC)})
		x.submit(t, "a@example.net", 10)
		x.submit(t, "large@example.net", 2000)
		time.Sleep(8*time.Hour - time.Second)
		x.expect(t, "just before eight")
		time.Sleep(2 * time.Minute)
		x.expect(t, "after eight", "a@example.net 8h0m0s")
		x.submit(t, "b@example.net", 10)
		x.expect(t, "at once", "a@example.net 8h0m0s", "b@example.net 8h2m0s")
		time.Sleep(12 * time.Hour)
		x.expect(t, "after eight in the evening", "a@example.net 8h0m0s", "b@example.net 8h2m0s", "large@example.net 20h0m0s")
	})
}

// breaking is a Transport that breaks each session while broken is set.
type breaking struct {
	*relay
	broken atomic.Bool
}

func (b *breaking) Deliver(ctx context.Context, j *Job) []queue.Result {
	if b.broken.Load() {
		return sameResults(len(j.Recipients), queue.Result{Outcome: queue.Deferred,
			Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "connection lost"}})
	}
	return b.relay.Deliver(ctx, j)
}

// If a transfer breaks and the receiver requests again, at once or later, all
// mail starts again and the reply contains its number.
func TestETRNAfterABrokenTransfer(t *testing.T) {
	for _, pause := range []time.Duration{2 * time.Second, time.Minute, 11 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := new(breaking)
			b.relay = newRelay(t, Connector{Name: "branch", Spaces: []string{"branch.example"}, Hold: true, Transport: b,
				Retry: []time.Duration{time.Hour}})
			b.broken.Store(true)
			const n = 40
			for i := range n {
				b.submit(t, fmt.Sprintf("u%02d@branch.example", i), 10)
			}
			synctest.Wait()
			ask := func() {
				t.Helper()
				got := b.r.ETRN(t.Context(), "", "branch.example")
				if got.Code != 253 || got.Message != fmt.Sprintf("OK, %d pending messages for node branch.example started", n) {
					t.Errorf("after %v: %v", pause, got)
				}
			}
			ask()
			time.Sleep(pause)
			ask() // in vain once more
			time.Sleep(pause)
			b.broken.Store(false)
			ask()
			time.Sleep(time.Second)
			synctest.Wait()
			if len(b.came) != n {
				t.Errorf("after %v: %d of %d messages came", pause, len(b.came), n)
			}
		})
	}
}

// The queue retries mail after the table is replaced.
func TestNewTableStartsWaitingMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(breaking)
		b.relay = newRelay(t, Connector{Name: "home", Spaces: []string{"example.com"}, Transport: b})
		b.broken.Store(true)
		b.submit(t, "a@example.com", 10) // its host is busy, and will be replaced
		b.submit(t, "b@example.net", 10) // no connector
		time.Sleep(2 * time.Second)
		b.expect(t, "with the old table")
		b.r.SetTable(table(t, Connector{Name: "new home", Spaces: []string{"example.com"}, Transport: b.relay},
			Connector{Name: "out", Spaces: []string{"*"}, Transport: b.relay}))
		time.Sleep(2 * time.Second)
		b.expect(t, "with the new table", "a@example.com 0s", "b@example.net 0s")
	})
}

func TestTheQueueWaitsForETRN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRelay(t, Connector{Name: "branch", Spaces: []string{"branch.example"}, Hold: true, HoldAccounts: []string{"branch"}})
		x.submit(t, "a@branch.example", 10)
		x.submit(t, "b@branch.example", 10)
		time.Sleep(25 * time.Hour)
		x.expect(t, "not requested")
		if got := x.r.ETRN(t.Context(), "branch", "branch.example"); got.Code != 253 || got.Message != "OK, 2 pending messages for node branch.example started" {
			t.Errorf("%v", got)
		}
		time.Sleep(time.Minute)
		x.expect(t, "asked for", "a@branch.example 25h0m0s", "b@branch.example 25h0m0s")
		time.Sleep(time.Hour)
		x.submit(t, "c@branch.example", 10)
		time.Sleep(time.Hour)
		x.expect(t, "not asked again", "a@branch.example 25h0m0s", "b@branch.example 25h0m0s")
		if got := x.r.ETRN(t.Context(), "branch", "branch.example"); got.Code != 253 {
			t.Errorf("%v", got)
		}
		time.Sleep(time.Minute)
		x.expect(t, "asked again", "a@branch.example 25h0m0s", "b@branch.example 25h0m0s", "c@branch.example 27h1m0s")
		if got := x.r.ETRN(t.Context(), "branch", "branch.example"); got.Code != 251 {
			t.Errorf("%v", got)
		}
		if got := x.r.ETRN(t.Context(), "branch", "branch.example"); got.Code != 250 { // the queue is not asked again so soon
			t.Errorf("%v", got)
		}
	})
}

// Mail of a connector on demand waits until an operator requests it. The request also
// holds for mail that arrives in the ten minutes after it.
func TestTheQueueWaitsForDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRelay(t, Connector{Name: "provider", Spaces: []string{"*"}, OnDemand: true})
		x.submit(t, "a@example.net", 10)
		x.submit(t, "b@example.org", 10)
		time.Sleep(5 * time.Hour)
		x.expect(t, "not requested")
		if got := x.r.ETRN(t.Context(), "provider", "#provider"); got.Code != 459 {
			t.Errorf("a client: %v", got)
		}
		if e := x.r.Explain(t.Context(), Question{To: "a@example.net"}); !e.Held {
			t.Errorf("it is not held:\n%v", e)
		}
		x.q.RetryQueue(t.Context(), queue.NextHop{Connector: "provider", Destination: "provider"})
		time.Sleep(5 * time.Minute)
		x.submit(t, "c@example.net", 10)
		time.Sleep(time.Minute)
		x.expect(t, "requested", "a@example.net 5h0m0s", "b@example.org 5h0m0s", "c@example.net 5h5m0s")
		time.Sleep(10 * time.Minute)
		x.submit(t, "d@example.net", 10)
		time.Sleep(time.Hour)
		x.expect(t, "not requested again", "a@example.net 5h0m0s", "b@example.org 5h0m0s", "c@example.net 5h5m0s")
		if n, err := x.q.RetryQueues(t.Context(), func(queue.NextHop) bool { return true }); n != 1 || err != nil {
			t.Errorf("%d messages, %v", n, err)
		}
		time.Sleep(time.Minute)
		x.expect(t, "requested again", "a@example.net 5h0m0s", "b@example.org 5h0m0s", "c@example.net 5h5m0s", "d@example.net 6h16m0s")
	})
}

// A retry sends the mail of a next hop also outside the schedule of its connector, for
// ten minutes. The other next hops, and large messages with a schedule of their own,
// continue to wait.
func TestARetryDoesNotWaitForTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC
		night := func(text string) *Schedule {
			s, err := ParseSchedule(text, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		x := newRelay(t, Connector{Name: "net", Spaces: []string{"example.net"}, Schedule: night("22:00-23:00"),
			OversizeSchedule: night("23:00-24:00"), OversizeSize: 1000},
			Connector{Name: "out", Spaces: []string{"*"}, Schedule: night("22:00-23:00")})
		x.submit(t, "a@example.net", 10)
		x.submit(t, "large@example.net", 5000)
		x.submit(t, "b@example.org", 10)
		time.Sleep(time.Hour)
		x.expect(t, "outside the schedule")
		x.q.RetryQueue(t.Context(), queue.NextHop{Connector: "net", Destination: "net"})
		time.Sleep(5 * time.Minute)
		x.submit(t, "c@example.net", 10)
		time.Sleep(time.Minute)
		sent := []string{"a@example.net 1h0m0s", "c@example.net 1h5m0s"}
		x.expect(t, "requested", sent...)
		time.Sleep(10 * time.Minute)
		x.submit(t, "d@example.net", 10)
		time.Sleep(time.Hour)
		x.expect(t, "not requested again", sent...)
		if n, err := x.q.Do(t.Context(), queue.Filter{Recipient: "large@*"}, queue.RetryNow()); n != 1 || err != nil {
			t.Errorf("%d messages, %v", n, err)
		}
		time.Sleep(time.Minute)
		sent = append(sent, "large@example.net 2h16m0s")
		x.expect(t, "the large message", sent...)
		time.Sleep(21 * time.Hour)
		x.expect(t, "the schedule", "a@example.net 1h0m0s", "b@example.org 22h0m0s", "c@example.net 1h5m0s", "d@example.net 22h0m0s", "large@example.net 2h16m0s")
	})
}

// A client that requests held mail does not change the schedule of the connector.
func TestETRNWaitsForTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		night, err := ParseSchedule("22:00-23:00", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		x := newRelay(t, Connector{Name: "branch", Spaces: []string{"branch.example"}, Hold: true, Schedule: night})
		x.submit(t, "a@branch.example", 10)
		time.Sleep(time.Hour)
		x.r.ETRN(t.Context(), "", "branch.example")
		time.Sleep(time.Hour)
		x.expect(t, "outside the schedule")
	})
}

// The number of next hops that do not wait for their schedule has a limit. Those whose
// time is over do not count.
func TestForcedHopsHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rs releases
		hop := func(n int) queue.NextHop { return queue.NextHop{Connector: "out", Destination: fmt.Sprint(n)} }
		for n := range maxForced + 10 {
			rs.force(hop(n), time.Now())
		}
		if len(rs.forced) != maxForced || !rs.isForced(hop(0), time.Now()) || rs.isForced(hop(maxForced), time.Now()) {
			t.Errorf("%d next hops", len(rs.forced))
		}
		time.Sleep(releaseTime)
		rs.force(hop(maxForced), time.Now())
		if len(rs.forced) != 1 || !rs.isForced(hop(maxForced), time.Now()) {
			t.Errorf("%d next hops after their time", len(rs.forced))
		}
	})
}
