package spool

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// kinds returns the kinds of the records of a segment.
func kinds(t *testing.T, g *segment) (ks []kind) {
	t.Helper()
	sc := newScanner(g.file, g.capacity, g.salt)
	sc.record = func(f found) { ks = append(ks, f.kind) }
	sc.damage = func(d gap) { t.Errorf("damage: %+v", d) }
	sc.scan(g.end, g.end)
	return ks
}

// changed gives recipient i of m one more attempt, and records that.
func changed(t *testing.T, s *Spool, m *queue.Message, i int) {
	t.Helper()
	m.Recipients[i].Attempts++
	if err := s.UpdateRecipients(bg, "me", m, []int{i}, forever); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
}

func wantAttempts(t *testing.T, s *Spool, m *queue.Message) {
	t.Helper()
	got, err := s.Get(bg, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if g, w := attempts(got), attempts(m); !slices.Equal(g, w) {
		t.Errorf("%s: %d attempts, want %d", m.ID, g, w)
	}
}

// putFive puts a message with five recipients.
func putFive(t *testing.T, s *Spool, id string) *queue.Message {
	t.Helper()
	m := testMessage(id, trialContent(id, 100))
	m.Recipients = nil
	for i := range 5 {
		m.Recipients = append(m.Recipients, queue.Rcpt(fmt.Sprintf("to%d@example.net", i))...)
	}
	if err := s.Put(bg, m, forever); err != nil {
		t.Fatal(err)
	}
	return m
}

// After as many changes as the message has recipients follows one state with all of
// them, which releases the changes.
func TestChangesBecomeAState(t *testing.T) {
	s := openSim(t, newSimFS(1))
	stop(t, s)
	m := putFive(t, s, "m")
	for i := range 7 {
		changed(t, s, m, i%5)
		wantAttempts(t, s, m)
	}
	c := kindChange
	if got, want := kinds(t, s.log.active), []kind{kindMessage, c, c, c, c, c, kindState, c}; !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
	if err := s.Remove(bg, "me", "m"); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Live; n != 0 || len(s.index.changes) != 0 {
		t.Errorf("%d bytes of an ended message are needed, %d lists of changes are left", n, len(s.index.changes))
	}
}

// A segment of format version 1 gets no change: a program that knows only version 1
// would take it for damage.
func TestNoChangeInVersion1(t *testing.T) {
	s := openSim(t, newSimFS(1))
	stop(t, s)
	m := putFive(t, s, "m")
	s.log.mu.Lock()
	s.log.active.version = 1 // as after resume
	s.log.mu.Unlock()
	changed(t, s, m, 3)
	wantAttempts(t, s, m)
	if got, want := kinds(t, s.log.active), []kind{kindMessage, kindState}; !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// Compaction replaces the changes in a segment by one state, whether the message or its
// state is in that segment too or not. A crash after that loses no change, and brings
// no older state back.
func TestCompactChanges(t *testing.T) {
	for _, what := range []string{"all", "state and changes", "changes"} {
		t.Run(what, func(t *testing.T) {
			d := newSimFS(1)
			s := openSim(t, d)
			stop(t, s)
			rotate := func() {
				if err := s.log.rotate(0); err != nil {
					t.Fatal(err)
				}
			}
			m := putFive(t, s, "m")
			if what != "all" {
				rotate()
			}
			if what == "state and changes" {
				if err := s.Update(bg, "me", m, forever); err != nil {
					t.Fatal(err)
				}
			}
			changed(t, s, m, 1)
			changed(t, s, m, 2)
			old := s.log.active
			rotate()
			changed(t, s, m, 2)
			before := s.Stats().Records
			if err := s.log.empty(old); err != nil {
				t.Fatal(err)
			}
			if n := s.Stats().Records - before; n > 2 {
				t.Errorf("compaction wrote %d records", n)
			}
			if old.live != 0 {
				t.Errorf("%d bytes of the old segment are needed", old.live)
			}
			wantAttempts(t, s, m)
			changed(t, s, m, 4)
			wantAttempts(t, s, m)
			again := openSim(t, d.PowerFails())
			wantAttempts(t, again, m)
		})
	}
}

// A change during the copy of a message is not lost: the message is copied again.
func TestChangeDuringCopy(t *testing.T) {
	s := openSim(t, newSimFS(1))
	stop(t, s)
	m := putFive(t, s, "m")
	g, f, rec := recordOf(t, s, "m")
	p, err := s.index.get("m")
	if err != nil {
		t.Fatal(err)
	}
	p.done()
	changed(t, s, m, 1)
	stale := newRecord(kindMessage, f.seq, make([]byte, headerLen, headerLen+8))
	stale.moved = &origin{message: loc{g.number, uint32(f.off), uint32(f.size())}}
	if _, err := s.index.addCopy("m", &p, stale); err != errUpdated {
		t.Errorf("a copy without the change: %v", err)
	}
	if r, err := s.index.copy(g, f, rec); err != nil || r == nil {
		t.Fatalf("copy: %v, %v", r, err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	wantAttempts(t, s, m)
	if n := len(s.index.changes); n != 0 {
		t.Errorf("%d lists of changes are left", n)
	}
}

// A change that the disk has damaged is not ignored: compaction sets the message aside
// in the directory damaged.
func TestCompactDamagedChange(t *testing.T) {
	s := openSim(t, newSimFS(1))
	stop(t, s)
	m := putFive(t, s, "m")
	if err := s.log.rotate(0); err != nil {
		t.Fatal(err)
	}
	changed(t, s, m, 1)
	old := s.log.active
	slot, _ := s.index.entries.Find("m")
	at := s.index.changes[slot].durable[0]
	if err := old.file.WriteAt([][]byte{{0xff}}, int64(at.off)+headerLen); err != nil {
		t.Fatal(err)
	}
	if err := s.log.rotate(0); err != nil {
		t.Fatal(err)
	}
	if err := s.log.empty(old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(bg, "m"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if n := s.Stats().Damaged; n != 1 {
		t.Errorf("%d messages were set aside, want 1", n)
	}
}
