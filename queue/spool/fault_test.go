package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var bg = context.Background()

// A trial works on a spool on a simulated disk and keeps book of what the
// spool has promised.
type trial struct {
	t    *testing.T
	rnd  *rand.Rand
	disk *simFS
	s    *Spool
	what string

	stored  map[string]*queue.Message // Put said nil, or Update did since
	refused map[string]bool           // Put failed
	gone    map[string]bool           // Remove said nil, and it is durable
	unsure  map[string]bool           // of the last dispositions, not durable yet
	next    int
}

func newTrial(t *testing.T, seed uint64, what string) *trial {
	return &trial{
		t: t, rnd: rand.New(rand.NewPCG(seed, 2)), disk: newSimFS(seed), what: what,
		stored: make(map[string]*queue.Message), refused: make(map[string]bool),
		gone: make(map[string]bool), unsure: make(map[string]bool),
	}
}

// open opens the spool; it may fail only where faults are injected.
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

// trialContent is content that tells its message.
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
	m := &queue.Message{ID: id, From: "from@example.org", Recipients: queue.Rcpt("to@example.org"), Content: trialContent(id, size)}
	if err := tr.s.Put(bg, m, queue.Schedule{Owner: "me", Until: time.Unix(1e10, 0)}); err != nil {
		tr.refused[id] = true
		return
	}
	tr.stored[id] = m
}

// settle tells that all dispositions are durable.
func (tr *trial) settle() {
	if tr.s.Sync(bg) == nil {
		for id := range tr.unsure {
			if tr.stored[id] == nil {
				tr.gone[id] = true
			}
		}
		clear(tr.unsure)
	}
}

func (tr *trial) some() *queue.Message {
	for _, m := range tr.stored { // in any order
		return m
	}
	return nil
}

func (tr *trial) step() {
	switch n := tr.rnd.IntN(10); {
	case n < 5:
		tr.put()
	case n < 7:
		if m := tr.some(); m != nil {
			m.Recipients[0].Attempts++
			if err := tr.s.Update(bg, "me", m, queue.Schedule{Owner: "me", Until: time.Unix(1e10, 0)}); err != nil {
				m.Recipients[0].Attempts--
			} else {
				tr.unsure[m.ID] = true
			}
		}
	case n < 9:
		if m := tr.some(); m != nil {
			if tr.s.Remove(bg, "me", m.ID) == nil {
				delete(tr.stored, m.ID)
				tr.unsure[m.ID] = true
			}
		}
	default:
		tr.settle()
	}
}

// verify opens the spool on what the disk has become and compares it with
// what was promised. stuck says that the disk failed until the end: then the
// one message that was refused first could not be undone.
func (tr *trial) verify(disk *simFS, stuck bool) {
	tr.t.Helper()
	tr.disk = disk
	disk.fail = nil
	// What was there once must not come back when segments have been tidied
	// away, so it is looked at twice.
	for range 2 {
		if !tr.open() {
			tr.t.Fatalf("%s: the spool does not open again", tr.what)
		}
		tr.compare(stuck)
		tr.s.tidy()
		tr.s.Close()
	}
}

// compare compares the spool with what was promised.
func (tr *trial) compare(stuck bool) {
	tr.t.Helper()
	if r := tr.s.Recovery(); len(r.Damaged) > 0 {
		tr.t.Fatalf("%s: recovery reports damage: %+v\n%s", tr.what, r.Damaged, tr.disk.list())
	}
	found := make(map[string]bool)
	back := 0
	for e, err := range tr.s.List(bg, queue.Query{}) {
		if err != nil {
			tr.t.Fatal(err)
		}
		found[e.ID] = true
		if tr.stored[e.ID] == nil && !tr.gone[e.ID] && !tr.refused[e.ID] && !tr.unsure[e.ID] {
			tr.t.Errorf("%s: %s came from nowhere", tr.what, e.ID)
		}
		if tr.gone[e.ID] {
			tr.t.Errorf("%s: %s was removed and is there again", tr.what, e.ID)
		}
		if tr.refused[e.ID] {
			back++
		}
	}
	if back > 1 || back > 0 && !stuck {
		tr.t.Errorf("%s: %d messages were refused and are there", tr.what, back)
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
			tr.t.Errorf("%s: %s says %.50q, want %.50q", tr.what, id, g, w)
		}
		if g, w := got.Recipients[0].Attempts, m.Recipients[0].Attempts; g != w && !tr.unsure[id] {
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

// abandon ends the spool as a crash would: without a last write.
func (tr *trial) abandon() {
	tr.disk.mu.Lock()
	tr.disk.fail = func(int, string, string) error { return syscall.EIO }
	tr.disk.mu.Unlock()
	tr.s.Close()
}

// heal does what the spool's timer would, until that helps. It reports whether
// nothing did.
func (tr *trial) heal() (stuck bool) {
	for range 10 {
		tr.s.log.flush()
		if tr.s.healthy() {
			return false
		}
	}
	return true
}

// healthy says whether the last commit went well.
func (s *Spool) healthy() bool {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for s.log.busy {
		s.log.idle.Wait()
	}
	return s.log.broken == nil
}

// TestPowerFails pulls the plug at random moments.
func TestPowerFails(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for range rounds {
		seed := rand.Uint64()
		tr := newTrial(t, seed, fmt.Sprintf("seed %d", seed))
		for range 3 { // several lives
			if !tr.open() {
				t.Fatalf("%s: the spool does not open", tr.what)
			}
			for range tr.rnd.IntN(120) {
				tr.step()
			}
			// The plug goes first, then the process hears of it.
			disk := tr.disk.powerFails()
			tr.abandon()
			tr.verify(disk, false)
			tr.afterCrash()
		}
		if t.Failed() {
			return
		}
	}
}

// afterCrash brings the book in line with what survived of the last, unsure
// dispositions.
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

// TestFaultAtEveryCall lets each call to the disk fail in turn, once, for some
// time or from then on, and looks at what a restart and what a power failure
// find then.
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
		return tr.disk.calls
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

func faulty(t *testing.T, seed uint64, steps, first, length int, errno error, power bool) {
	tr := newTrial(t, seed, fmt.Sprintf("from call %d on, power failure %v", first, power))
	failed := ""
	tr.disk.fail = func(call int, op, name string) error {
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
		tr.settle()
		disk := tr.disk
		if power {
			disk = tr.disk.powerFails()
		}
		tr.abandon()
		tr.disk = disk
	}
	tr.verify(tr.disk, stuck)
	if t.Failed() {
		t.Fatalf("%s: the calls that failed were\n%s", tr.what, failed)
	}
}
