package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A model is the simplest correct store: a map that each operation searches from
// end to end.
type model struct {
	f      *fixture
	rnd    *rand.Rand
	now    time.Duration
	stored map[string]*modelMessage // by ID
	next   int
}

type modelMessage struct {
	m        *queue.Message
	s        queue.Schedule
	recorded time.Time // the due time that a restart goes back to
	hop      queue.NextHop
}

func (mm *modelMessage) ready() time.Time {
	if mm.s.Owner != "" && mm.s.Until.After(mm.s.Due) {
		return mm.s.Until
	}
	return mm.s.Due
}

// seedName is the environment variable with the seed of a run. If it is empty, each run has
// another seed.
const seedName = "QUEUETEST_SEED"

var owners = []string{"a", "b", "c"}

func againstAModel(t *testing.T, f *fixture) { runModel(t, f, 1500, false) }
func reopenModel(t *testing.T, f *fixture)   { runModel(t, f, 1000, true) }

func runModel(t *testing.T, f *fixture, steps int, reopen bool) {
	seed := rand.Uint64()
	if s := os.Getenv(seedName); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedName, err)
		}
	}
	t.Logf("%s=%d", seedName, seed)
	md := &model{f: f, rnd: rand.New(rand.NewPCG(seed, 0)), stored: make(map[string]*modelMessage)}
	for range steps {
		switch n := md.rnd.IntN(100); {
		case n < 30:
			md.put()
		case n < 60:
			md.claim()
		case n < 80:
			md.update()
		case n < 92:
			md.remove()
		case n < 96:
			md.now += time.Duration(md.rnd.IntN(int(lease)))
		case n < 98:
			md.check()
		case reopen && n == 99:
			md.reopen()
		}
	}
	md.check()
}

func (md *model) schedule() queue.Schedule {
	s := queue.Schedule{
		Due: at(md.now + time.Duration(md.rnd.IntN(int(4*lease))) - 2*lease),
		Hop: []queue.NextHop{hopA, hopB, hopC, {}}[md.rnd.IntN(4)],
	}
	if md.rnd.IntN(4) == 0 {
		s.Owner, s.Until = owners[md.rnd.IntN(3)], at(md.now+time.Duration(md.rnd.IntN(int(lease))))
	}
	return s
}

func (md *model) put() {
	md.next++
	m := message(fmt.Sprintf("%x.%d", md.rnd.IntN(256), md.next))
	m.Options.Priority = md.rnd.IntN(3) - 1
	m.Received = at(md.now)
	m.From = modelSenders[md.rnd.IntN(len(modelSenders))]
	m.Recipients = nil
	for range 1 + md.rnd.IntN(3) {
		m.Recipients = append(m.Recipients, queue.Rcpt(modelRecipients[md.rnd.IntN(len(modelRecipients))])...)
	}
	if md.rnd.IntN(20) == 0 {
		m.Content = queue.String(strings.Repeat("large content\r\n", 10000+md.rnd.IntN(20000)))
	}
	s := md.schedule()
	md.f.put(m, s)
	mm := &modelMessage{m: m, s: s, recorded: s.Due, hop: s.Hop}
	md.stored[m.ID] = mm
}

// claim compares the claimed messages with the rule: no remaining message comes
// before a claimed one.
func (md *model) claim() {
	c := claim(owners[md.rnd.IntN(3)], md.now, 1+md.rnd.IntN(4))
	switch md.rnd.IntN(4) {
	case 0:
		c.Only = &hopA
	case 1:
		c.Except = map[queue.NextHop]bool{hopA: true, {}: true}
	}
	var ready []*modelMessage
	for _, mm := range md.stored {
		if !mm.ready().After(c.Now) && (c.Only == nil || *c.Only == mm.s.Hop) && !c.Except[mm.s.Hop] {
			ready = append(ready, mm)
		}
	}
	compare := func(a, b *modelMessage) int {
		if a.m.Options.Priority != b.m.Options.Priority {
			return b.m.Options.Priority - a.m.Options.Priority
		}
		return a.ready().Compare(b.ready())
	}
	slices.SortFunc(ready, compare)
	got := md.f.claim(c)
	if len(got) != min(c.Max, len(ready)) {
		md.f.t.Fatalf("%s, at most Max: claimed %d of %d that were claimable, Max is %d", claimsDue, len(got), len(ready), c.Max)
	}
	for i, m := range got {
		mm := md.stored[m.ID]
		if mm == nil || compare(mm, ready[i]) != 0 || !slices.Contains(ready, mm) {
			md.f.t.Fatalf("%s: number %d of the claimed messages is %s, want %s or one with the same priority and time", byPriority, i, m.ID, ready[i].m.ID)
		}
		sameMessage(md.f.t, "Claim returns a message as Put and the last Update recorded it", m, mm.m)
	}
	for _, m := range got {
		md.stored[m.ID].s.Owner, md.stored[m.ID].s.Until = c.Owner, c.Until
	}
}

// any returns a random message, or nil if there is none.
func (md *model) any() *modelMessage {
	var all []string
	for id := range md.stored {
		all = append(all, id)
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return md.stored[all[md.rnd.IntN(len(all))]]
}

// expect checks the error of an Update or Remove of mm by owner.
func (md *model) expect(err error, owner string, mm *modelMessage) bool {
	md.f.t.Helper()
	if mm.s.Owner == owner && err != nil || mm.s.Owner != owner && !errors.Is(err, queue.ErrLeaseLost) {
		md.f.t.Fatalf("Update and Remove succeed for the last owner that leased the message, and return ErrLeaseLost for others: %s is leased by %q, and the call by %q returned %v", mm.m.ID, mm.s.Owner, owner, err)
	}
	return err == nil
}

func (md *model) update() {
	mm := md.any()
	if mm == nil {
		return
	}
	m := *mm.m
	m.Recipients = nil
	for i, r := range mm.m.Recipients {
		c := *r
		if i == 0 && md.rnd.IntN(2) == 0 {
			c.Attempts++
			c.Status = queue.Status(md.rnd.IntN(3))
			c.Last.Reply.Message = strings.Repeat("x", md.rnd.IntN(3000))
		}
		m.Recipients = append(m.Recipients, &c)
	}
	s := md.schedule()
	s.Volatile = md.rnd.IntN(2) == 0
	owner := owners[md.rnd.IntN(3)]
	record := func() error { return md.f.st.Update(ctx, owner, &m, s) }
	if md.rnd.IntN(4) == 0 { // an expansion
		m.Recipients = append(m.Recipients, queue.Rcpt(modelRecipients[md.rnd.IntN(len(modelRecipients))])...)
	} else if u, ok := md.f.st.(queue.RecipientUpdater); ok && md.rnd.IntN(2) == 0 {
		record = func() error { return u.UpdateRecipients(ctx, owner, &m, []int{0}, s) }
	}
	if !md.expect(record(), owner, mm) {
		return
	}
	mm.m.Recipients = m.Recipients
	mm.s = s
	if !s.Volatile {
		mm.recorded, mm.hop = s.Due, s.Hop
	} else {
		mm.recorded, mm.hop = time.Time{}, queue.NextHop{}
	}
}

func (md *model) remove() {
	if mm := md.any(); mm != nil {
		owner := owners[md.rnd.IntN(3)]
		if md.expect(md.f.st.Remove(ctx, owner, mm.m.ID), owner, mm) {
			delete(md.stored, mm.m.ID)
		}
	}
}

// check compares the whole store with the model.
func (md *model) check() {
	var want []string
	for id := range md.stored {
		want = append(want, id)
	}
	slices.Sort(want)
	var got []string
	for _, e := range md.f.list(queue.Query{}) {
		got = append(got, e.ID)
	}
	if !slices.Equal(got, want) {
		md.f.t.Fatalf("List returns the messages that were put and not removed, in the order of their IDs: got:\n%v\nwant:\n%v", got, want)
	}
	for _, mm := range md.stored {
		sameMessage(md.f.t, "Get returns a message as Put and the last Update recorded it", md.f.get(mm.m.ID), mm.m)
	}
	md.checkSearch()
	var next time.Time
	atOnce := false
	for _, mm := range md.stored {
		r := mm.ready()
		atOnce = atOnce || r.IsZero()
		if next.IsZero() || r.Before(next) {
			next = r
		}
	}
	n, err := md.f.st.Next(ctx, claim("a", md.now, 1))
	if err != nil || !atOnce && !n.Equal(next) || atOnce && (n.IsZero() || n.After(at(md.now))) {
		md.f.t.Fatalf("Next returns the earliest time at which Claim would find a message (a time that is not zero and not after Now, if one has no due time): %v, %v; want %v", n, err, next)
	}
}

// reopen closes and opens the store, which ends all leases. The store may lose a
// volatile schedule or keep it. The model copies the schedule of the store.
func (md *model) reopen() {
	md.f.reopen()
	for _, e := range md.f.list(queue.Query{}) {
		mm := md.stored[e.ID]
		if mm == nil {
			md.f.t.Fatalf("after Close and Open, a removed message is not in the store: %s is", e.ID)
		}
		if e.Schedule.Owner != "" || e.Schedule.Due.After(mm.s.Due) {
			md.f.t.Fatalf("after Close and Open, no message is leased, and none is due later than before: %s has %+v, had %+v", e.ID, e.Schedule, mm.s)
		}
		if recorded := mm.recorded; !recorded.IsZero() && !e.Schedule.Due.Equal(recorded) {
			md.f.t.Fatalf("after Close and Open, a message has the Due of the last Put or Update that was not Volatile: %s is due %v, recorded was %v", e.ID, e.Schedule.Due, recorded)
		}
		mm.s = e.Schedule
	}
	md.check()
}
