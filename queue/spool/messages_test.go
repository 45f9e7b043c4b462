package spool

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Tests of the index: records that were written, records that were not, and changes
// during a copy.

// stop stops housekeeping until the end of the test.
func stop(t *testing.T, s *Spool) {
	s.tidying.Lock()
	t.Cleanup(s.tidying.Unlock)
}

// recordOf reads the record of a message from its segment.
func recordOf(t *testing.T, s *Spool, id string) (*segment, found, []byte) {
	t.Helper()
	p, err := s.index.get(id)
	if err != nil {
		t.Fatal(err)
	}
	defer p.done()
	b := make([]byte, p.segment.capacity)
	if _, err := p.segment.file.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	f, ok := newScanner(bytes.NewReader(b), int64(len(b)), p.segment.salt).recordAt(int64(p.data.message.off), int64(len(b)))
	if !ok {
		t.Fatalf("no record of %s at %v", id, p.data.message)
	}
	return p.segment, f, b[f.off:][:f.size()]
}

func putTest(t *testing.T, s *Spool, id string) *queue.Message {
	t.Helper()
	m := testMessage(id, trialContent(id, 100))
	if err := s.Put(bg, m, forever); err != nil {
		t.Fatal(err)
	}
	return m
}

// A message that the log refuses leaves no entry, so its ID can be used again.
func TestIndexRefused(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	setFail(d, func(int, string, string) error { return syscall.EIO })
	if err := s.Put(bg, testMessage("m", nil), forever); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Put: %v", err)
	}
	setFail(d, nil)
	if s.index.has("m") || s.index.len() != 0 {
		t.Error("the refused message has an entry")
	}
	putTest(t, s, "m")
}

// A message ends while its copy is being written. Its removal names the segment of the
// copy.
func TestIndexEndDuringCopy(t *testing.T) {
	d := newSimFS(1)
	s := openSim(t, d)
	stop(t, s)
	putTest(t, s, "m")
	g, f, rec := recordOf(t, s, "m")
	if err := s.log.rotate(0); err != nil { // as if the segment were full
		t.Fatal(err)
	}
	copied, err := s.index.copy(g, f, rec)
	if err != nil || copied == nil {
		t.Fatalf("copy: %v, %v", copied, err)
	}
	if err := s.Remove(bg, "me", "m"); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	if copied.at.segment == g.number || s.log.active.removals[copied.at.segment] != 1 {
		t.Errorf("the copy is at %v, the removals belong to %v", copied.at, s.log.active.removals)
	}
	if n := s.Stats().Live; n != 0 {
		t.Errorf("%d bytes of an ended message are needed", n)
	}
	disk := d.PowerFails()
	if got := waiting(t, disk); got != "" {
		t.Errorf("after a crash the spool has %q", got)
	}
}

// An update during a copy is not lost: the message is copied again, with the update.
func TestIndexUpdateDuringCopy(t *testing.T) {
	s := openSim(t, newSimFS(1))
	stop(t, s)
	m := putTest(t, s, "m")
	g, f, rec := recordOf(t, s, "m")
	p, _ := s.index.get("m")
	p.done()
	m.Recipients[0].Attempts = 3
	if err := s.Update(bg, "me", m, forever); err != nil {
		t.Fatal(err)
	}
	at := loc{g.number, uint32(f.off), uint32(f.size())}
	stale := newRecord(kindMessage, f.seq, make([]byte, headerLen, headerLen+8))
	stale.moved = &origin{message: at}
	if _, err := s.index.addCopy("m", &p, stale); err != errUpdated {
		t.Errorf("a copy without the update: %v", err)
	}
	if r, err := s.index.copy(g, f, rec); err != nil || r == nil {
		t.Fatalf("copy: %v, %v", r, err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(bg, "m")
	if err != nil || got.Recipients[0].Attempts != 3 {
		t.Errorf("%v, %v", got, err)
	}
}
