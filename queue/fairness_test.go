package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// 100,000 messages for a dead host do not delay mail for a live one.
func TestBacklogDelaysNoOtherHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 100_000
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "dead.example" {
				<-time.After(30 * time.Second) // the dial's timeout
				return refused
			}
			<-time.After(10 * time.Millisecond)
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for range backlog {
			w.submit("alice@example.com", "bob@dead.example")
		}
		var longest time.Duration
		for range 100 {
			w.after(17 * time.Second)
			w.took()
			before := time.Now()
			w.submit("alice@example.com", "bob@example.net")
			for live := false; !live; {
				w.after(time.Millisecond)
				for _, c := range w.took() {
					live = live || c.hop == "example.net"
				}
			}
			longest = max(longest, time.Since(before))
		}
		if longest > 11*time.Millisecond {
			t.Errorf("mail for a live host took up to %v, its delivery alone takes 10ms", longest)
		}
		if n := w.stored(); n != backlog {
			t.Errorf("%d in the store, want %d", n, backlog)
		}
	})
}

// Thousands of dead hosts, each probed again and again with a slow dial, do not
// delay the live ones.
func TestManyDeadHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Limits.Deliveries = 50 })
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if strings.HasPrefix(hop.Destination, "dead") {
				<-time.After(30 * time.Second)
				return refused
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		for i := range 1000 {
			w.submit("alice@example.com", fmt.Sprintf("bob@dead%d.example", i))
		}
		w.after(40 * time.Minute) // until all of them are known to be dead
		w.took()
		probes := 0
		for range 60 {
			w.after(time.Minute)
			probes += len(w.took())
			w.submit("alice@example.com", "bob@live.example")
			if c := w.took(); len(c) != 1 || c[0].hop != "live.example" {
				t.Fatalf("%v: the live host's mail waits", c)
			}
		}
		if probes < 2000 { // 25 at a time, 30 s each: 50 per minute
			t.Errorf("%d probes in an hour", probes)
		}
	})
}

// There are more dead hosts than active messages are allowed. The probes that
// wait do not take the places of mail for live hosts.
func TestProbesLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) { q.Limits = queue.Limits{Active: 100, Deliveries: 20} })
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if strings.HasPrefix(hop.Destination, "dead") {
				<-time.After(time.Minute)
				return refused
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		for i := range 1000 {
			w.submit("alice@example.com", fmt.Sprintf("bob@dead%d.example", i))
		}
		w.after(6 * time.Hour) // until all of them are known to be dead
		w.took()
		for range 60 {
			w.after(time.Minute)
			w.took()
			w.submit("alice@example.com", "bob@live.example")
			if c := w.took(); len(c) != 1 || c[0].hop != "live.example" {
				t.Fatalf("%v: the live host's mail waits", c)
			}
		}
	})
}

// A slow host takes no more than its share, however much mail there is for it.
// Hops that have not answered have half of the slots at most, and every second
// turn. The attempts of a second end in any order, so that of four slots at least
// one, and at most two, go to such a hop in each second.
func TestRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.Limits = queue.Limits{Deliveries: 4, Hop: queue.HopLimits{Concurrency: 20, Start: 20}}
		})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(time.Second)
			return ok
		}
		for range 200 {
			w.submit("alice@example.com", "bob@busy.example")
		}
		for i := range 10 {
			w.submit("alice@example.com", fmt.Sprintf("bob@quiet%d.example", i))
		}
		w.run()
		defer w.shutdown()
		w.after(11 * time.Second) // eleven hosts, and at least one in each second
		quiet := 0
		for _, c := range w.took() {
			if c.hop != "busy.example" {
				quiet++
			}
		}
		if quiet != 10 {
			t.Errorf("%d of 10 quiet hosts had their mail after 11 s; busy ones took the places", quiet)
		}
	})
}

// Urgent mail is delivered first, but other mail is not starved.
func TestPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.Limits.Hop = queue.HopLimits{Concurrency: 1}
		})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(time.Second)
			return ok
		}
		for _, p := range []int{-4, 0, 5} {
			for range 40 {
				m := message("alice@example.com", fmt.Sprintf("p%d@example.net", p))
				m.Options.Priority = p
				if err := w.q.Submit(context.Background(), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.run()
		defer w.shutdown()
		w.after(32*time.Second + time.Millisecond)
		n := map[string]int{}
		for _, c := range w.took() {
			n[c.rcpts[0]]++
		}
		if n["p5@example.net"] < 20 || n["p0@example.net"] < 4 || n["p-4@example.net"] < 1 {
			t.Errorf("after 32 turns: %v", n)
		}
	})
}

// If urgent mail arrives faster than it is delivered, other mail does not wait
// in the store for ever.
func TestPrioritiesInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.Limits = queue.Limits{Active: 20, Hop: queue.HopLimits{Concurrency: 1}}
		})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			<-time.After(time.Second)
			return ok
		}
		for i := range 1000 {
			m := message("alice@example.com", fmt.Sprintf("bob@h%d.example", i%2))
			if m.Options.Priority = 5; i < 10 {
				m.Options.Priority = -5
			}
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		w.run()
		defer w.shutdown()
		w.after(200 * time.Second)
		n := 0
		for info, err := range w.q.Messages(context.Background(), queue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Priority < 0 {
				n++
			}
		}
		if n == 10 {
			t.Error("no message of low priority was delivered, among 400")
		}
	})
}

// Concurrency begins low, grows with success, and shrinks when the host refuses
// connections. A refused connection is not an attempt.
func TestConcurrencyAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var now, most, limit atomic.Int32
		limit.Store(1000)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			n := now.Add(1)
			defer now.Add(-1)
			if n > limit.Load() {
				return refused
			}
			most.Store(max(most.Load(), n))
			<-time.After(time.Second)
			return ok
		}
		for range 1000 {
			w.submit("alice@example.com", "bob@example.net")
		}
		w.run()
		defer w.shutdown()
		w.after(500 * time.Millisecond)
		if most.Load() != 5 {
			t.Errorf("begins with %d at a time, want 5", most.Load())
		}
		w.after(20 * time.Second)
		if most.Load() != 20 {
			t.Errorf("%d at a time after a while, want 20", most.Load())
		}
		limit.Store(8)
		w.after(10 * time.Second)
		w.took()
		w.after(300 * time.Second)
		attempts := 0
		for info, err := range w.q.Messages(context.Background(), queue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			attempts += info.Recipients[0].Attempts
		}
		if w.stored() > 0 || attempts > 0 {
			t.Errorf("%d left, with %d failed attempts: a refused connection must not count", w.stored(), attempts)
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.HopLimits = func(h queue.NextHop) queue.HopLimits {
				if h.Destination == "limited.example" {
					return queue.HopLimits{Rate: 2}
				}
				return queue.HopLimits{}
			}
		})
		for range 30 {
			w.submit("alice@example.com", "bob@limited.example")
			w.submit("alice@example.com", "bob@example.net")
		}
		w.run()
		defer w.shutdown()
		w.after(9900 * time.Millisecond)
		n := map[string]int{}
		for _, c := range w.took() {
			n[c.hop]++
		}
		if n["limited.example"] != 20 || n["example.net"] != 30 {
			t.Errorf("in 10 s: %v; want 20 to the limited hop, all 30 to the other", n)
		}
	})
}

// A Deliverer can keep the mail for a hop waiting. That is no attempt.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacer{world: newWorld(t, nil)}
		p.q.Deliverer = p
		p.closed.Store(true)
		p.until = time.Now().Add(3 * time.Hour)
		p.run()
		defer p.shutdown()
		synctest.Wait()
		for range 5 {
			p.submit("alice@example.com", "bob@night.example")
		}
		p.after(2 * time.Hour)
		if c := p.took(); len(c) != 0 {
			t.Errorf("before the hour: %v", c)
		}
		hop := queue.NextHop{Connector: "out", Destination: "night.example"}
		infos, err := p.q.Queues(context.Background())
		if i := slices.IndexFunc(infos, func(i queue.QueueInfo) bool { return i.Hop == hop }); err != nil || i < 0 || infos[i].Status != queue.QueueScheduled {
			t.Errorf("%+v, %v", infos, err)
		}
		p.closed.Store(false)
		p.after(time.Hour)
		if c := p.took(); len(c) != 5 {
			t.Errorf("when it has come: %v", c)
		}
		// Until a request comes.
		p.closed.Store(true)
		p.until = time.Time{}
		p.submit("alice@example.com", "bob@night.example")
		p.after(24 * time.Hour)
		if c := p.took(); len(c) != 1 || c[0].hop != "example.com" { // the delay notice, after 12 hours
			t.Errorf("closed: %v", c)
		}
		p.closed.Store(false)
		p.q.RetryQueue(context.Background(), hop)
		if c := p.took(); len(c) != 1 || c[0].hop != "night.example" {
			t.Errorf("asked for: %v", c)
		}
	})
}

type pacer struct {
	*world
	closed atomic.Bool
	until  time.Time
}

func (p *pacer) Pace(hop queue.NextHop) queue.Pace {
	if hop.Destination == "night.example" && p.closed.Load() {
		return queue.Pace{Held: true, Until: p.until}
	}
	return queue.Pace{}
}

func TestReleaseAndDeliverBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = greylist
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com", "bob@example.net")
		m.Options.Release = time.Now().Add(3 * time.Hour)
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		by := func(mode smtp.DeliverByMode) {
			m := message("alice@example.com", "bob@slow.example")
			m.Recipients[0].Options.DeliverBy = &smtp.DeliverByOptions{Time: 25 * time.Minute, Mode: mode}
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		by(smtp.DeliverByReturn)
		by(smtp.DeliverByNotify)
		w.after(35 * time.Minute)
		var reports []string
		for _, c := range w.took() {
			if c.hop == "example.com" {
				reports = append(reports, fmt.Sprintf("%v %v", c.at.Round(time.Minute), actionOf(c.text)))
			}
			if c.hop == "example.net" {
				t.Error("not to be released yet")
			}
		}
		slices.Sort(reports)
		if !slices.Equal(reports, []string{"25m0s failed", "30m0s delayed"}) {
			t.Errorf("reports %q", reports)
		}
		w.after(3 * time.Hour)
		released := 0
		for _, c := range w.took() {
			if c.hop == "example.net" && c.at == 3*time.Hour {
				released++
			}
		}
		if released != 1 {
			t.Error("not released after 3 hours")
		}
	})
}
