package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var bg = context.Background()

// A trial uses a spool on a simulated disk. It records what the spool must have
// after a crash.
type trial struct {
	t    *testing.T
	rnd  *rand.Rand
	disk *simFS
	s    *Spool
	what string

	stored  map[string]*queue.Message // Put succeeded; with the newest Update
	refused map[string]bool           // Put failed
	gone    map[string]bool           // Remove succeeded and is durable
	unsure  map[string]bool           // the last disposition may not be durable yet
	next    int
}

func newTrial(t *testing.T, seed uint64, what string) *trial {
	return &trial{
		t: t, rnd: rand.New(rand.NewPCG(seed, 2)), disk: newSimFS(seed), what: what,
		stored: make(map[string]*queue.Message), refused: make(map[string]bool),
		gone: make(map[string]bool), unsure: make(map[string]bool),
	}
}

// open opens the spool. It may fail only while the disk fails.
func (tr *trial) open() bool {
	s, err := open("spool", &Options{SegmentSize: 64 << 10, LargeContent: 8 << 10}, tr.disk)
	if err != nil {
		return false
	}
	s.log.mu.Lock()
	s.log.compactAge = 0
	s.log.mu.Unlock()
	tr.s = s
	s.Claim(bg, queue.Claim{Owner: "me", Now: time.Unix(1, 0), Until: time.Unix(1e10, 0), Max: 1e6})
	return true
}

// trialContent returns content that consists of the message's ID.
func trialContent(id string, size int) queue.Content {
	return queue.String(strings.Repeat(id+" ", size/(len(id)+1)+1))
}

func (tr *trial) put() {
	tr.next++
	id := fmt.Sprintf("m%04d", tr.next)
	size := tr.rnd.IntN(3000)
	if tr.rnd.IntN(10) == 0 {
		size = 8<<10 + tr.rnd.IntN(10<<10)
	}
	m := &queue.Message{ID: id, From: "from@example.org", Recipients: queue.Rcpt("a@example.org", "b@example.org", "c@example.org", "d@example.org"), Content: trialContent(id, size)}
	if err := tr.s.Put(bg, m, queue.Schedule{Owner: "me", Until: time.Unix(1e10, 0)}); err != nil {
		tr.refused[id] = true
		return
	}
	tr.stored[id] = m
}

// sync makes all dispositions durable.
func (tr *trial) sync() {
	if tr.s.Sync(bg) == nil {
		for id := range tr.unsure {
			if tr.stored[id] == nil {
				tr.gone[id] = true
			}
		}
		clear(tr.unsure)
	}
}

// some returns any stored message.
func (tr *trial) some() *queue.Message {
	for _, m := range tr.stored {
		return m
	}
	return nil
}

// step does a random operation.
func (tr *trial) step() {
	switch n := tr.rnd.IntN(10); {
	case n < 5:
		tr.put()
	case n < 7:
		if m := tr.some(); m != nil {
			tr.update(m)
		}
	case n < 9:
		if m := tr.some(); m != nil {
			if tr.s.Remove(bg, "me", m.ID) == nil {
				delete(tr.stored, m.ID)
				tr.unsure[m.ID] = true
			}
		}
	default:
		tr.sync()
	}
}

// update records new states of some recipients: with a state record, or with one or
// more change records.
func (tr *trial) update(m *queue.Message) {
	keep := queue.Schedule{Owner: "me", Until: time.Unix(1e10, 0)}
	for range 1 + tr.rnd.IntN(3) {
		i := tr.rnd.IntN(len(m.Recipients))
		m.Recipients[i].Attempts++
		var err error
		if tr.rnd.IntN(3) == 0 {
			err = tr.s.Update(bg, "me", m, keep)
		} else {
			err = tr.s.UpdateRecipients(bg, "me", m, []int{i}, keep)
		}
		if err != nil {
			m.Recipients[i].Attempts--
			return
		}
		tr.unsure[m.ID] = true
	}
}

// attempts returns the attempts of all recipients.
func attempts(m *queue.Message) (n []int) {
	for _, r := range m.Recipients {
		n = append(n, r.Attempts)
	}
	return n
}

// verify opens the spool on a disk after a crash and compares it with what it must
// have. stuck means that the disk failed until the end: then the first message that
// was refused may come back.
func (tr *trial) verify(disk *simFS, stuck bool) {
	tr.t.Helper()
	tr.disk = disk
	disk.Fail = nil
	// Messages must not come back when housekeeping has deleted segments, so
	// compare twice.
	for range 2 {
		if !tr.open() {
			tr.t.Fatalf("%s: the spool does not open again", tr.what)
		}
		tr.compare(stuck)
		tr.s.tidy()
		tr.s.Close()
	}
}

// compare compares the spool with what it must have.
func (tr *trial) compare(stuck bool) {
	tr.t.Helper()
	if r := tr.s.Recovery(); len(r.Damaged) > 0 {
		tr.t.Fatalf("%s: recovery reports damage: %+v\n%s", tr.what, r.Damaged, tr.disk.List())
	}
	found := make(map[string]bool)
	back := 0
	for e, err := range tr.s.List(bg, queue.Query{}) {
		if err != nil {
			tr.t.Fatal(err)
		}
		found[e.ID] = true
		if tr.stored[e.ID] == nil && !tr.gone[e.ID] && !tr.refused[e.ID] && !tr.unsure[e.ID] {
			tr.t.Errorf("%s: %s was never put", tr.what, e.ID)
		}
		if tr.gone[e.ID] {
			tr.t.Errorf("%s: %s was removed and came back", tr.what, e.ID)
		}
		if tr.refused[e.ID] {
			back++
		}
	}
	if back > 1 || back > 0 && !stuck {
		tr.t.Errorf("%s: %d messages were refused and came back", tr.what, back)
	}
	for id, m := range tr.stored {
		if !found[id] {
			tr.t.Errorf("%s: %s is lost", tr.what, id)
			continue
		}
		got, err := tr.s.Get(bg, id)
		if err != nil {
			tr.t.Errorf("%s: %s: %v", tr.what, id, err)
			continue
		}
		if g, w := text(tr.t, got.Content), text(tr.t, m.Content); g != w {
			tr.t.Errorf("%s: %s has content %.50q, want %.50q", tr.what, id, g, w)
		}
		if g, w := attempts(got), attempts(m); !slices.Equal(g, w) && !tr.unsure[id] {
			tr.t.Errorf("%s: %s has %d attempts, want %d", tr.what, id, g, w)
		}
	}
}

func text(t *testing.T, c queue.Content) string {
	t.Helper()
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// abandon ends the spool without a last write, like a crash.
func (tr *trial) abandon() {
	tr.disk.Lock()
	tr.disk.Fail = func(int, string, string) error { return syscall.EIO }
	tr.disk.Unlock()
	tr.s.Close()
}

// heal does the work of the spool's timer until a commit succeeds. It reports
// whether none did.
func (tr *trial) heal() (stuck bool) {
	for range 10 {
		tr.s.log.flush()
		if tr.s.healthy() {
			return false
		}
	}
	return true
}

// healthy reports whether the last commit succeeded.
func (s *Spool) healthy() bool {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for s.log.busy {
		s.log.idle.Wait()
	}
	return s.log.broken == nil
}

// TestPowerFails has the power fail at random times.
func TestPowerFails(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for range rounds {
		seed := rand.Uint64()
		tr := newTrial(t, seed, fmt.Sprintf("seed %d", seed))
		for range 3 { // crash several times
			if !tr.open() {
				t.Fatalf("%s: the spool does not open", tr.what)
			}
			for range tr.rnd.IntN(120) {
				tr.step()
			}
			// The disk loses its power before the process ends.
			disk := tr.disk.PowerFails()
			tr.abandon()
			tr.verify(disk, false)
			tr.afterCrash()
		}
		if t.Failed() {
			return
		}
	}
}

// afterCrash updates the trial: it looks which of the unsure dispositions are
// durable.
func (tr *trial) afterCrash() {
	if !tr.open() {
		tr.t.Fatalf("%s: the spool does not open a second time", tr.what)
	}
	for id := range tr.unsure {
		m, err := tr.s.Get(bg, id)
		switch {
		case err == nil:
			m.Content = queue.String(text(tr.t, m.Content))
			tr.stored[id] = m
		case errors.Is(err, queue.ErrNotFound) && tr.stored[id] == nil:
			tr.gone[id] = true
		default:
			tr.t.Fatalf("%s: %s: %v", tr.what, id, err)
		}
	}
	clear(tr.unsure)
	if err := tr.s.Close(); err != nil {
		tr.t.Fatal(err)
	}
}

// TestFaultAtEveryCall has each call to the disk fail: once, for some calls, or
// forever. Then it compares what a restart finds, and what a restart after a power
// failure finds.
func TestFaultAtEveryCall(t *testing.T) {
	const seed, steps = 20261121, 40
	every := 1
	if testing.Short() {
		every = 7
	}
	count := func() int {
		tr := newTrial(t, seed, "count")
		tr.open()
		for range steps {
			tr.step()
		}
		tr.s.Close()
		return tr.disk.Calls
	}()
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for _, length := range []int{1, 4, 1e9} {
			t.Run(fmt.Sprintf("%v for %d calls", errno, length), func(t *testing.T) {
				for first := 1; first <= count; first += every {
					for _, power := range []bool{false, true} {
						faulty(t, seed, steps, first, length, errno, power)
					}
				}
			})
		}
	}
}

// faulty runs a trial in which length calls fail from the call first on.
func faulty(t *testing.T, seed uint64, steps, first, length int, errno error, power bool) {
	tr := newTrial(t, seed, fmt.Sprintf("from call %d on, power failure %v", first, power))
	failed := ""
	tr.disk.Fail = func(call int, op, name string) error {
		if call < first || call >= first+length {
			return nil
		}
		failed += fmt.Sprintf("%d: %s %s\n", call, op, name)
		return errno
	}
	stuck := false
	if tr.open() {
		for range steps {
			tr.step()
		}
		if stuck = tr.heal(); stuck && length < 1e9 {
			t.Errorf("%s: the disk works, the spool does not", tr.what)
		}
		tr.sync()
		disk := tr.disk
		if power {
			disk = tr.disk.PowerFails()
		}
		tr.abandon()
		tr.disk = disk
	}
	tr.verify(tr.disk, stuck)
	if t.Failed() {
		t.Fatalf("%s: the calls that failed were\n%s", tr.what, failed)
	}
}
