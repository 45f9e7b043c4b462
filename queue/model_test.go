package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// TestModel runs a queue through days of random faults: hosts that are dead,
// slow or busy, that refuse or defer; a store that cannot record; queues that
// are shut down and started again, or die while they have leases; operators who
// suspend, resume and retry. Some runs use a spool on disk, which is opened
// again with each queue. At the end each recipient must have ended exactly
// once: delivered, reported, or kept as bad mail if no report was possible.
// Only after a queue has died may a recipient be delivered twice, or a report
// be sent twice.
func TestModel(t *testing.T) {
	seeds := 8
	if testing.Short() {
		seeds = 3
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 1)), begun: time.Now(), fates: map[string]*fate{}, vanish: seed%3 == 2, days: 4}
				if seed%8 == 3 { // a disk does not use virtual time
					m.dir, m.vanish, m.days = t.TempDir(), false, 1
				}
				m.live()
			})
		})
	}
}

// A fate has what happened to one recipient.
type fate struct {
	from      string
	never     bool // NOTIFY=NEVER
	delivered int
	failed    int // reports of it
	delayed   int
	bad       int
	inFlight  bool // in delivery when a queue died
}

type model struct {
	t      *testing.T
	begun  time.Time
	store  *faultyStore
	dir    string // of the spool; empty for a store in memory
	vanish bool   // queues may die
	days   int    // with faults

	mu    sync.Mutex // guards all below
	rand  *rand.Rand
	fates map[string]*fate // by address
	hosts [8]hostModel
	gone  int // generation of queues that has died
}

type hostModel struct {
	dead    bool
	limit   int // of concurrent deliveries
	now     int
	latency time.Duration
}

// A modelQueue is the queue of one generation.
type modelQueue struct {
	*model
	*queue.Queue
	generation int
	ended      chan error
	vanish     context.CancelFunc
}

func (m *model) chance(percent int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rand.IntN(100) < percent
}

func (m *model) n(most int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rand.IntN(most)
}

func (m *model) begin(generation int) *modelQueue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &modelQueue{model: m, generation: generation, ended: make(chan error, 1), vanish: cancel}
	q.Queue = &queue.Queue{
		Store:     generationStore{m.store, q},
		Deliverer: q,
		Hostname:  "relay.example.com",
		Limits:    queue.Limits{Active: 40, Deliveries: 10, Hop: queue.HopLimits{Recipients: 2}},
	}
	go func() { q.ended <- q.Run(ctx) }()
	return q
}

// A generationStore disconnects a queue that has died.
type generationStore struct {
	*faultyStore
	q *modelQueue
}

func (s generationStore) cut() bool {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return s.q.generation <= s.q.gone
}

func (s generationStore) Update(ctx context.Context, owner string, m *queue.Message, sch queue.Schedule) error {
	if s.cut() {
		return queue.ErrLeaseLost
	}
	return s.faultyStore.Update(ctx, owner, m, sch)
}

func (s generationStore) Remove(ctx context.Context, owner, id string) error {
	if s.cut() {
		return queue.ErrLeaseLost
	}
	return s.faultyStore.Remove(ctx, owner, id)
}

func (s generationStore) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	if s.cut() {
		return queue.ErrClosed
	}
	return s.faultyStore.Put(ctx, m, sch)
}

// open creates the store or opens it again.
func (m *model) open() {
	if m.dir == "" {
		if m.store == nil {
			m.store = &faultyStore{Store: new(memory.Store)}
		}
		return
	}
	if m.store != nil {
		if err := m.store.Close(); err != nil {
			m.t.Fatal(err)
		}
	}
	s, err := spool.Open(m.dir, &spool.Options{SegmentSize: 256 << 10})
	if err != nil {
		m.t.Fatal(err)
	}
	m.store = &faultyStore{Store: s}
}

func (m *model) live() {
	m.open()
	defer func() {
		if err := m.store.Close(); err != nil {
			m.t.Error(err)
		}
	}()
	for i := range m.hosts {
		m.hosts[i] = hostModel{limit: 20, latency: time.Second}
	}
	generation := 1
	q := m.begin(generation)
	for time.Since(m.begun) < time.Duration(m.days)*24*time.Hour {
		<-time.After(time.Duration(m.n(40)) * time.Minute)
		switch k := m.n(100); {
		case k < 60:
			for range 1 + m.n(5) {
				m.submit(q)
			}
		case k < 85:
			m.change()
		case k < 88:
			m.store.full.Store(true)
			<-time.After(time.Duration(m.n(200)) * time.Minute)
			m.store.full.Store(false)
		case k < 94:
			m.operate(q)
		default:
			generation++
			m.end(q)
			q = m.begin(generation)
		}
	}
	// No more faults: the remaining messages must end.
	m.mu.Lock()
	for i := range m.hosts {
		m.hosts[i] = hostModel{limit: 20, latency: time.Second}
	}
	m.mu.Unlock()
	if _, err := q.Do(context.Background(), queue.Filter{Status: queue.MessageSuspended}, queue.Resume()); err != nil {
		m.t.Fatal(err)
	}
	<-time.After(3 * 24 * time.Hour)
	synctest.Wait()
	m.shutdown(q)
	m.judge()
}

func (m *model) shutdown(q *modelQueue) {
	if err := q.Shutdown(context.Background()); err != nil {
		m.t.Errorf("Shutdown: %v", err)
	}
	if err := <-q.ended; err != nil {
		m.t.Errorf("Run: %v", err)
	}
	q.vanish()
	m.open()
}

// end shuts a queue down or kills it.
func (m *model) end(q *modelQueue) {
	if !m.vanish || m.chance(50) {
		m.shutdown(q)
		return
	}
	synctest.Wait()
	m.mu.Lock()
	m.gone = q.generation
	m.mu.Unlock()
	q.vanish()
	<-q.ended
}

var kinds = []string{"ok", "ok", "ok", "ok", "never", "later", "always"}

func (m *model) submit(q *modelQueue) {
	msg := &queue.Message{From: "alice@sender.example", Content: queue.String("Subject: x\r\n\r\nx\r\n"), Options: queue.MessageOptions{Priority: m.n(3) - 1}}
	if m.chance(10) {
		msg.From = ""
	}
	m.mu.Lock()
	serial := len(m.fates)
	m.mu.Unlock()
	for i := range 1 + m.n(6) {
		addr := fmt.Sprintf("%s-%d-%d@h%d.example", kinds[m.n(len(kinds))], serial, i, m.n(len(m.hosts)))
		r := &queue.Recipient{Addr: addr}
		f := &fate{from: msg.From}
		if m.chance(10) {
			r.Options.Notify, f.never = []smtp.DSNNotify{smtp.DSNNotifyNever}, true
		}
		msg.Recipients = append(msg.Recipients, r)
		m.mu.Lock()
		m.fates[addr] = f
		m.mu.Unlock()
	}
	if err := q.Submit(context.Background(), msg); err != nil {
		m.t.Errorf("Submit: %v", err)
	}
}

// change changes the state of a host.
func (m *model) change() {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &m.hosts[m.rand.IntN(len(m.hosts))]
	switch m.rand.IntN(4) {
	case 0:
		h.dead = true
	case 1:
		h.limit = 1 + m.rand.IntN(4)
	case 2:
		h.latency = time.Duration(m.rand.IntN(600)) * time.Second
	default:
		*h = hostModel{limit: 20, latency: time.Second, now: h.now}
	}
}

func (m *model) operate(q *modelQueue) {
	op := []queue.Op{queue.Suspend(), queue.Resume(), queue.RetryNow(), queue.Resubmit()}[m.n(4)]
	f := queue.Filter{Recipient: fmt.Sprintf("*@h%d.example", m.n(len(m.hosts)))}
	for _, s := range []queue.MessageStatus{queue.MessageActive, queue.MessageRetry, queue.MessageReady, queue.MessageSuspended} {
		f.Status = s
		if _, err := q.Do(context.Background(), f, op); err != nil {
			m.t.Errorf("%v: %v", op, err)
		}
	}
	s := queue.Suspension{Hop: queue.NextHop{Destination: fmt.Sprintf("h%d.example", m.n(len(m.hosts)))}}
	if m.n(2) == 0 {
		s.Domain, s.Hop = s.Hop.Destination, queue.NextHop{}
	}
	wait := time.Duration(1+m.n(120)) * time.Minute
	ends := m.n(2) == 0
	if ends {
		s.Until = q.Clock.Now().Add(wait)
	}
	if _, err := q.Suspend(context.Background(), s); err != nil {
		m.t.Error(err)
	}
	if <-time.After(wait); !ends {
		if err := q.Lift(context.Background(), s); err != nil && !errors.Is(err, queue.ErrNoSuspension) && !errors.Is(err, queue.ErrClosed) {
			m.t.Error(err)
		}
	}
}

func (q *modelQueue) Route(ctx context.Context, msg *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	_, domain, _ := strings.Cut(r.Addr, "@")
	return queue.NextHop{Destination: domain}, nil
}

func (q *modelQueue) Deliver(ctx context.Context, hop queue.NextHop, msg *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	if hop.Destination == "sender.example" {
		var text strings.Builder
		msg.Content.WriteTo(&text)
		q.reported(text.String())
		results[0] = ok
		return results
	}
	q.mu.Lock()
	h := &q.hosts[int(hop.Destination[1]-'0')]
	if h.dead || h.now >= h.limit {
		q.mu.Unlock()
		for i := range results {
			results[i] = refused
		}
		return results
	}
	h.now++
	latency := h.latency
	q.mu.Unlock()
	for i, r := range rcpts {
		results[i] = q.answer(r)
	}
	vanished := false
	select {
	case <-time.After(latency):
	case <-ctx.Done():
		vanished = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	h.now--
	for i, r := range rcpts {
		f := q.fates[r.Addr]
		switch {
		case vanished:
			results[i] = queue.Result{Outcome: queue.Deferred}
		case results[i].Outcome == queue.Success:
			f.delivered++
		}
		f.inFlight = f.inFlight || vanished
	}
	return results
}

// answer returns the result for a kind of recipient.
func (q *modelQueue) answer(r *queue.Recipient) queue.Result {
	kind, _, _ := strings.Cut(r.Addr, "-")
	switch {
	case kind == "never":
		return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
	case kind == "always", kind == "later" && r.Attempts < 4:
		return says(450, smtp.EnhancedCode{4, 2, 0}, "Not now")
	}
	return ok
}

var finalRecipient = regexp.MustCompile(`(?m)^Final-Recipient: rfc822; (\S+)\r\nAction: (\S+)\r$`)

func (m *model) reported(text string) {
	found := finalRecipient.FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		m.t.Errorf("a report without a recipient:\n%s", text)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range found {
		switch f[2] {
		case "failed":
			m.fates[f[1]].failed++
		case "delayed":
			m.fates[f[1]].delayed++
		}
	}
}

// judge checks that each recipient has ended correctly.
func (m *model) judge() {
	ctx := context.Background()
	for e, err := range m.store.List(ctx, queue.Query{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		msg, err := m.store.Get(ctx, e.ID)
		if err != nil {
			m.t.Fatal(err)
		}
		if e.Schedule.Hop.Destination != queue.BadMailQueue {
			m.t.Errorf("left in the store: %v for %v (%v)", e.ID, msg.Recipients[0].Addr, e.Schedule)
			continue
		}
		for _, r := range msg.Recipients {
			m.fates[r.Addr].bad++
		}
	}
	ends := map[string]int{}
	for addr, f := range m.fates {
		n := f.delivered + f.failed + f.bad
		quiet := f.never && f.from != "" && strings.HasPrefix(addr, "ok") == false
		switch {
		case n == 1, n == 0 && quiet, n == 0 && f.never && f.from != "":
		case n > 1 && m.vanish:
		default:
			m.t.Errorf("%s ended %d times: %+v", addr, n, *f)
		}
		if f.delayed > 1 && !m.vanish {
			m.t.Errorf("%s: its sender got %d delay notices", addr, f.delayed)
		}
		ends["delivered"] += f.delivered
		ends["failed"] += f.failed
		ends["delayed"] += f.delayed
		ends["bad"] += f.bad
	}
	for _, kind := range []string{"delivered", "failed", "delayed", "bad"} {
		if ends[kind] == 0 {
			m.t.Errorf("nothing was %s: the model is too kind", kind)
		}
	}
}
