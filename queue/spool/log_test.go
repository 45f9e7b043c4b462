package spool

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Tests of the log alone.

// A testOwner records the calls of the log.
type testOwner struct {
	log *recordLog

	mu      sync.Mutex // guards all below
	written []uint64   // sequence numbers, in order
	dropped []uint64   // undone
	places  map[uint64]loc
	copied  []uint64
	needed  map[uint64]bool // copy returns a copy of these
}

func (o *testOwner) durable(recs []*record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.log.account()
	defer a.done()
	for _, r := range recs {
		o.written = append(o.written, r.seq)
		a.release(o.places[r.seq])
		o.places[r.seq] = r.at
		a.retain(r.at)
	}
}

func (o *testOwner) undone(recs []*record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range recs {
		if r.kind == kindMessage {
			o.dropped = append(o.dropped, r.seq)
		}
	}
}

func (o *testOwner) copy(_ *segment, f found, rec []byte) (*record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.needed[f.seq] {
		return nil, nil
	}
	o.copied = append(o.copied, f.seq)
	r := newRecord(f.kind, f.seq, slices.Clone(rec[:headerLen+f.metaLen]))
	r.moved = &origin{message: o.places[f.seq]}
	o.log.gather(r)
	return r, nil
}

func (o *testOwner) rescue(*segment) {}

// release releases records that are not needed any more.
func (o *testOwner) release(seqs ...uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.log.account()
	defer a.done()
	for _, seq := range seqs {
		a.release(o.places[seq])
		delete(o.places, seq)
	}
}

// openLog opens an empty log on a simulated disk.
func openLog(t *testing.T, d *simFS) (*recordLog, *testOwner) {
	t.Helper()
	l := newLog("spool", 64<<10, d, testLogger(t))
	o := &testOwner{log: l, places: make(map[uint64]loc), needed: make(map[uint64]bool)}
	l.owner = o
	l.compactAge = 0
	if err := d.MkdirAll(l.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := l.open(); err != nil {
		t.Fatal(err)
	}
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !l.closed {
			l.close()
		}
		l.closeFiles()
	})
	return l, o
}

// testRecord returns a record with a meta of size bytes.
func testRecord(k kind, seq uint64, size int) *record {
	return newRecord(k, seq, make([]byte, headerLen+size, headerLen+size+8))
}

func (l *recordLog) put(r *record) error {
	w, err := l.enqueue(r)
	if err != nil {
		return err
	}
	return l.wait(w)
}

// Many writers share commits, and each returns after its record is durable.
func TestLogGroupsCommits(t *testing.T) {
	l, o := openLog(t, newSimFS(1))
	var wg sync.WaitGroup
	for seq := range uint64(200) {
		wg.Go(func() {
			if err := l.put(testRecord(kindMessage, seq+1, 50)); err != nil {
				t.Error(err)
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if !slices.Contains(o.written, seq+1) {
				t.Errorf("record %d is not durable when its writer returns", seq+1)
			}
		})
	}
	wg.Wait()
	if n := l.stats.records.Load(); n != 200 {
		t.Errorf("%d records written, want 200", n)
	}
	t.Logf("%d records in %d commits", l.stats.records.Load(), l.stats.commits.Load())
}

// When the disk fails, new messages are undone. Dispositions are written by the next
// commit that succeeds, before later records.
func TestLogKeepsDispositions(t *testing.T) {
	d := newSimFS(1)
	l, o := openLog(t, d)
	setFail(d, func(int, string, string) error { return syscall.EIO })
	if err := l.add(testRecord(kindState, 1, 50)); err != nil {
		t.Fatal(err)
	}
	if err := l.put(testRecord(kindMessage, 2, 50)); !errors.Is(err, syscall.EIO) {
		t.Errorf("a message on a broken disk: %v", err)
	}
	if err := l.add(testRecord(kindState, 3, 50)); !errors.Is(err, syscall.EIO) {
		t.Errorf("a disposition on a disk known to be broken: %v", err)
	}
	setFail(d, nil)
	if err := l.put(testRecord(kindMessage, 4, 50)); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.written, []uint64{1, 4}) || !slices.Equal(o.dropped, []uint64{2}) {
		t.Errorf("written %v, undone %v; want [1 4] and [2]", o.written, o.dropped)
	}
}

// A segment is deleted when none of its records is needed. A removal is needed as long
// as the segment of its message exists.
func TestLogDeletesDeadSegments(t *testing.T) {
	l, o := openLog(t, newSimFS(1))
	fill := func(from uint64) (segment uint32) { // fills a segment
		t.Helper()
		for seq := from; ; seq++ {
			if err := l.put(testRecord(kindMessage, seq, 8<<10)); err != nil {
				t.Fatal(err)
			}
			if at := o.places[seq].segment; segment == 0 {
				segment = at
			} else if at != segment {
				return segment
			}
		}
	}
	first := fill(100)
	second := fill(200)
	a := l.account()
	a.addRemoval(second, first)
	a.done()
	for seq, at := range o.places {
		if at.segment == second {
			o.release(seq)
		}
	}
	l.deleteDead()
	if !l.exists(second) {
		t.Fatal("a segment is deleted although its removals are needed")
	}
	for seq, at := range o.places {
		if at.segment == first {
			o.release(seq)
		}
	}
	l.deleteDead()
	if l.exists(first) || l.exists(second) {
		t.Error("dead segments are left")
	}
}

// Compaction copies the needed records of a segment that is mostly not needed. It does
// not empty other segments.
func TestLogCompacts(t *testing.T) {
	l, o := openLog(t, newSimFS(1))
	for seq := uint64(1); seq <= 30; seq++ { // more than four segments
		if err := l.put(testRecord(kindMessage, seq, 8<<10)); err != nil {
			t.Fatal(err)
		}
	}
	first := o.places[1].segment
	for seq := uint64(2); o.places[seq].segment == first; seq++ {
		o.release(seq)
	}
	o.needed[1] = true
	l.compact()
	if !slices.Equal(o.copied, []uint64{1}) {
		t.Errorf("copied %v, want [1]", o.copied)
	}
	if at := o.places[1].segment; at == first {
		t.Error("the record that is needed is still in the emptied segment")
	}
	l.compact() // every other segment is needed
	if len(o.copied) != 1 {
		t.Errorf("copied %v from segments that are needed", o.copied[1:])
	}
}

// A closed log accepts no records.
func TestLogClosed(t *testing.T) {
	l, _ := openLog(t, newSimFS(1))
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if err := l.put(testRecord(kindMessage, 1, 50)); err != queue.ErrClosed {
		t.Errorf("put: %v", err)
	}
	if err := l.sync(); err != queue.ErrClosed {
		t.Errorf("sync: %v", err)
	}
}
