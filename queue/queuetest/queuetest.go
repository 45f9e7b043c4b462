package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Config describes the store under test.
type Config struct {
	// Open opens the store in dir, an existing directory for this test only. If
	// the store is opened again after Close, it must have the stored messages.
	// A store that does not use files can use dir as a name.
	Open func(t *testing.T, dir string) queue.Store
	// Durable is true if the messages are still there after Close. If it is
	// false, Test omits the tests that open the store again.
	Durable bool
	// Damage replaces the stored bytes before by after, which has the same
	// length, to simulate a damaged disk. The store is closed then. If Damage
	// is nil, Test replaces the bytes in all files of dir. A durable store
	// needs this function if it encodes or compresses messages, or does not
	// keep them in dir.
	Damage func(t *testing.T, dir string, before, after []byte)
	// OpenOn opens the store in a directory of fs instead of the file system of
	// the operating system. Test then also simulates power failures: fs is a
	// disk in memory. When the power fails, it loses all bytes that were not
	// synced, or a part of them, or none. In this way Test finds a store that
	// does not sync.
	//
	// It may be nil. Then nothing tests that the store syncs: a process that is
	// killed (see Crash) loses nothing that it has written. A store that makes
	// its own calls to the operating system, as most databases do, cannot use fs.
	// Its author must check that each commit is synced, for example that the
	// option that turns this off is not set.
	OpenOn func(t *testing.T, fs FileSystem, dir string) queue.Store
}

// Test runs all tests on the store of c, each with a new directory. The text of
// each failure begins with the rule of queue.Store that the store violates.
func Test(t *testing.T, c Config) {
	for _, tc := range []struct {
		name    string
		durable bool
		run     func(*testing.T, *fixture)
	}{
		{"PutAndClaim", false, putAndClaim},
		{"PutTwice", false, putTwice},
		{"PutRefusesBadIDs", false, putBadIDs},
		{"PutKeepsACopy", false, putKeepsACopy},
		{"PutUnderLease", false, putUnderLease},
		{"PutAfterContextEnds", false, putCancelled},
		{"ContentInAFile", false, putFile},
		{"ContentOfAllSizes", false, contents},
		{"ClaimOrder", false, claimOrder},
		{"ClaimAfterTheLeaseEnds", false, claimAfterLease},
		{"ClaimOrderAfterOthersLeft", false, claimAfterOthersLeft},
		{"ClaimOnlyAndExcept", false, claimHops},
		{"ClaimByID", false, claimByID},
		{"ClaimIsExclusive", false, claimExclusive},
		{"LeaseExpires", false, leaseExpires},
		{"LeaseIsLost", false, leaseLost},
		{"Renew", false, renew},
		{"Next", false, next},
		{"Clocks", false, clocks},
		{"Update", false, update},
		{"UpdateInterrupted", false, updateInterrupted},
		{"UpdateRecipients", false, updateRecipients},
		{"Remove", false, remove},
		{"Get", false, get},
		{"List", false, list},
		{"Hops", false, hops},
		{"HopsOldest", false, hopsOldest},
		{"Search", false, search},
		{"HopsDeferred", false, hopsDeferred},
		{"Suspensions", false, suspensions},
		{"Walk", false, walk},
		{"Concurrency", false, concurrency},
		{"AgainstAModel", false, againstAModel},
		{"Close", false, closed},
		{"Reopen", true, reopen},
		{"ReopenKeepsChanges", true, reopenChanges},
		{"ReopenForgetsVolatileSchedules", true, reopenVolatile},
		{"ReopenEndsLeases", true, reopenLeases},
		{"ReopenAgainstAModel", true, reopenModel},
		{"ReopenWithTheClockSetBack", true, reopenClock},
		{"ReopenKeepsSuspensions", true, reopenSuspensions},
		{"Interrupted", true, interrupted},
		{"DamagedContent", true, damagedContent},
		{"DamagedEnvelope", true, damagedEnvelope},
	} {
		if tc.durable && !c.Durable {
			continue // the test opens the store again
		}
		t.Run(tc.name, func(t *testing.T) { tc.run(t, newFixture(t, c)) })
	}
	if c.OpenOn != nil {
		t.Run("PowerFailure", func(t *testing.T) { powerFailure(t, newFixture(t, c)) })
	}
}

// A fixture is a store with helper methods. They fail the test on an error.
type fixture struct {
	t   *testing.T
	c   Config
	dir string
	st  queue.Store
}

func newFixture(t *testing.T, c Config) *fixture {
	f := &fixture{t: t, c: c, dir: t.TempDir()}
	f.st = c.Open(t, f.dir)
	t.Cleanup(func() { f.st.Close() })
	return f
}

var ctx = context.Background()

// t0 is the start time of all tests. Stores get the time from Claim.Now.
var t0 = time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

const lease = time.Minute

// claim returns a Claim of owner at t0+d for at most max messages.
func claim(owner string, d time.Duration, max int) queue.Claim {
	return queue.Claim{Owner: owner, Now: at(d), Until: at(d + lease), Max: max}
}

// message returns a small message.
func message(id string) *queue.Message {
	return &queue.Message{
		ID: id, From: "from@example.org", Recipients: queue.Rcpt("to@example.net", "also@example.net"),
		Content: queue.String("Subject: " + id + "\r\n\r\nHello.\r\n"), Received: t0,
	}
}

func (f *fixture) put(m *queue.Message, s queue.Schedule) {
	f.t.Helper()
	if err := f.st.Put(ctx, m, s); err != nil {
		f.t.Fatalf("Put stores a new message with a valid ID: Put %s returned %v", m.ID, err)
	}
}

func (f *fixture) claim(c queue.Claim) []*queue.Message {
	f.t.Helper()
	ms, err := f.st.Claim(ctx, c)
	if err != nil {
		f.t.Fatalf("Claim returns no error if there is no message to claim: %v", err)
	}
	return ms
}

func (f *fixture) update(owner string, m *queue.Message, s queue.Schedule) {
	f.t.Helper()
	if err := f.st.Update(ctx, owner, m, s); err != nil {
		f.t.Fatalf("Update succeeds for the owner of the lease, also after the lease has expired, until another owner claims the message: Update %s by %q returned %v", m.ID, owner, err)
	}
}

func (f *fixture) remove(owner, id string) {
	f.t.Helper()
	if err := f.st.Remove(ctx, owner, id); err != nil {
		f.t.Fatalf("Remove succeeds for the owner of the lease, also after the lease has expired, until another owner claims the message: Remove %s by %q returned %v", id, owner, err)
	}
}

func (f *fixture) get(id string) *queue.Message {
	f.t.Helper()
	m, err := f.st.Get(ctx, id)
	if err != nil {
		f.t.Fatalf("Get returns a stored message, leased or not: Get %s returned %v", id, err)
	}
	return m
}

// list returns all entries that q selects.
func (f *fixture) list(q queue.Query) []*queue.Entry {
	f.t.Helper()
	var es []*queue.Entry
	for e, err := range f.st.List(ctx, q) {
		if err != nil {
			f.t.Fatalf("List of an open store returns no error: %v", err)
		}
		es = append(es, e)
	}
	return es
}

// open opens the store again with a function that may end the test. rule is the
// rule that the store then violates.
func (f *fixture) open(rule string, open func() queue.Store) {
	f.t.Helper()
	opened := false
	defer func() {
		f.t.Helper()
		if !opened {
			f.t.Errorf("%s: the error is above", rule)
		}
	}()
	f.st = open()
	opened = true
}

// reopen closes the store and opens it again.
func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.st.Close(); err != nil {
		f.t.Fatalf("Close of an open store returns no error: %v", err)
	}
	f.open("a store can be opened again after Close", func() queue.Store { return f.c.Open(f.t, f.dir) })
}

func ids(ms []*queue.Message) []string {
	s := []string{}
	for _, m := range ms {
		s = append(s, m.ID)
	}
	return s
}

// inIDOrder sorts messages that can be claimed since the same time: Claim returns
// them in any order.
func inIDOrder(ms []*queue.Message) []*queue.Message {
	return slices.SortedFunc(slices.Values(ms), func(a, b *queue.Message) int { return strings.Compare(a.ID, b.ID) })
}

// sameIDs compares the IDs of claimed messages with those expected. rule is the
// rule of the interface that the store violates if they differ.
func sameIDs(t *testing.T, rule string, ms []*queue.Message, want ...string) {
	t.Helper()
	if got := ids(ms); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: claimed %v, want %v", rule, got, want)
	}
}

// read returns the whole content. It checks that WriteTo and ReadAt agree. rule is
// the rule of the interface that the store violates if the content cannot be read.
func read(t *testing.T, rule string, c queue.Content) string {
	t.Helper()
	var b bytes.Buffer
	n, err := c.WriteTo(&b)
	if err != nil || n != c.Size() || int64(b.Len()) != n {
		t.Fatalf("%s: WriteTo writes all bytes of the content and returns their number: wrote %d of %d bytes, returned %d, %v", rule, b.Len(), c.Size(), n, err)
	}
	again := make([]byte, c.Size())
	if n, err := c.ReadAt(again, 0); int64(n) < c.Size() {
		t.Fatalf("%s: ReadAt fills its buffer if the content has as many bytes: read %d of %d bytes, %v", rule, n, c.Size(), err)
	}
	if !bytes.Equal(again, b.Bytes()) {
		t.Fatalf("%s: ReadAt and WriteTo return the same bytes: they differ", rule)
	}
	return b.String()
}
