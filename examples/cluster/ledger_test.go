//go:build unix

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A ledger has what became of each message, and all faults.
type ledger struct {
	mu       sync.Mutex // guards the fields below
	messages map[string]*fate
	faults   []*fault
}

// A fate is what became of one message.
type fate struct {
	answer answer
	at     time.Time // of the answer
	copies []copied
}

// An answer is what the client has read at the end of the data.
type answer string

const (
	unknown  answer = "no answer" // the client does not know whether the message was accepted
	accepted answer = "250"
	refused  answer = "refused"
)

// A copied is one delivery of a message. From begin to end, it was in delivery.
type copied struct {
	node       string
	begin, end time.Time
}

// A fault is something that the test has done to a node, or to all if node is empty.
type fault struct {
	kind, node string
	repeats    bool // it explains that a message is delivered again
	begin, end time.Time
	alone      time.Time // until then, the node could not reach the database

	// delivering is how many messages the node, or all nodes, had in delivery during the
	// fault. again is how many were delivered again because of the fault.
	delivering, again int
}

func newLedger() *ledger { return &ledger{messages: make(map[string]*fate)} }

func (l *ledger) fate(id string) *fate {
	f := l.messages[id]
	if f == nil {
		f = &fate{answer: unknown}
		l.messages[id] = f
	}
	return f
}

func (l *ledger) answered(id string, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fate(id)
	f.answer, f.at = a, time.Now()
}

func (l *ledger) delivered(id string, c copied) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fate(id)
	f.copies = append(f.copies, c)
}

// during records a fault of a node, or of all, that lasts as long as do.
func (l *ledger) during(f *fault, node string, do func()) {
	f.node, f.begin = node, time.Now()
	do()
	l.mu.Lock()
	defer l.mu.Unlock()
	f.end = time.Now()
	l.faults = append(l.faults, f)
}

// missing returns the messages that were accepted and not delivered.
func (l *ledger) missing() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, f := range l.messages {
		if f.answer == accepted && len(f.copies) == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// recordWithin is how long the result of a delivery may wait for its commit: 100 ms, and
// the rest for a busy machine. After a fault, the node also has to connect again.
const (
	recordWithin  = time.Second
	connectWithin = 2 * time.Second
)

func (f *fault) concerns(node string) bool { return f.node == "" || f.node == node }

// recorded returns when the result of a delivery should be in the database, if that
// takes the time within. Faults postpone this.
func (l *ledger) recorded(c copied, within time.Duration) time.Time {
	at := c.end.Add(within)
	for _, f := range l.faults { // in the order of time
		if end := f.end.Add(connectWithin); f.concerns(c.node) && f.begin.Before(at) && end.After(at) && end.After(c.end) {
			at = end
		}
	}
	return at
}

// cause returns the fault that explains that a message was delivered again after c.
func (l *ledger) cause(c copied) *fault {
	recorded := l.recorded(c, recordWithin)
	for _, f := range l.faults {
		if f.repeats && f.concerns(c.node) && f.begin.Before(recorded) && f.end.After(c.begin) {
			return f
		}
	}
	return nil
}

// check checks the promises at the end, and logs the figures.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	answers := make(map[answer]int)
	kept := make(map[answer]int) // those that were delivered although there was no 250
	lost, again := 0, 0
	for id, f := range l.messages {
		answers[f.answer]++
		switch {
		case f.answer == accepted && len(f.copies) == 0:
			lost++
			t.Errorf("lost: %s, accepted at %s", id, f.at.Format(clock))
		case f.answer != accepted && len(f.copies) > 0:
			kept[f.answer]++
		}
		slices.SortFunc(f.copies, func(a, b copied) int { return a.end.Compare(b.end) })
		for n, c := range f.copies {
			l.inDelivery(c)
			l.withoutDatabase(t, id, c)
			if n == 0 {
				continue
			}
			again++
			if cause := l.cause(f.copies[n-1]); cause != nil {
				cause.again++
			} else {
				t.Errorf("delivered again without a fault: %s by %v, accepted at %s", id, f.copies, f.at.Format(clock))
			}
		}
	}
	t.Logf("answers: %v; delivered without 250: %v; lost: %d; delivered again: %d", answers, kept, lost, again)
	l.logFaults(t)
}

// inDelivery counts c for the faults that lasted during a part of it, or while its result
// waited to be recorded, which takes 100 ms without a fault.
func (l *ledger) inDelivery(c copied) {
	recorded := l.recorded(c, 100*time.Millisecond)
	for _, f := range l.faults {
		if f.concerns(c.node) && f.begin.Before(recorded) && f.end.After(c.begin) {
			f.delivering++
		}
	}
}

// noticedWithin is how long a node that cannot reach the database may begin deliveries:
// its Store waits 2 s for an answer. The rest is for a busy machine.
const noticedWithin = 5 * time.Second

// withoutDatabase checks that c did not begin while its node could not reach the database.
func (l *ledger) withoutDatabase(t *testing.T, id string, c copied) {
	t.Helper()
	for _, f := range l.faults {
		if f.concerns(c.node) && c.begin.After(f.begin.Add(noticedWithin)) && c.begin.Before(f.alone) {
			t.Errorf("delivery without the database: %s by %v during %v", id, c, f)
		}
	}
}

// logFaults logs each fault, and the sums for each kind.
func (l *ledger) logFaults(t *testing.T) {
	t.Helper()
	sums := make(map[string]*fault)
	count := make(map[string]int)
	for _, f := range l.faults {
		t.Logf("fault: %s", f)
		sum := sums[f.kind]
		if sum == nil {
			sum = &fault{}
			sums[f.kind] = sum
		}
		count[f.kind]++
		sum.delivering += f.delivering
		sum.again += f.again
	}
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		t.Logf("%-26s %3d times, %4d messages in delivery, %4d delivered again", kind, count[kind], sums[kind].delivering, sums[kind].again)
	}
}

const clock = "15:04:05.000"

func (f *fault) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s to %s %s %s: %d in delivery, %d delivered again",
		f.begin.Format(clock), f.end.Format(clock), f.kind, f.node, f.delivering, f.again))
}

func (c copied) String() string {
	return fmt.Sprintf("%s from %s to %s", c.node, c.begin.Format(clock), c.end.Format(clock))
}
