package queuetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/queuetest"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mutantName is the environment variable with the name of the store that
// TestMutant gives to the suite.
const mutantName = "QUEUETEST_MUTANT"

// The mutants are stores that violate one rule. The suite must find each of them,
// with one of its subtests, and name the rule.
var mutants = map[string]struct {
	config  queuetest.Config
	subtest string
	rule    string // part of the failure; empty: the store is correct
}{
	"forgets Interrupted": {inMemory(func(st *memory.Store) queue.Store { return forgetsInterrupted{st} }),
		"UpdateInterrupted", "Update records m.Interrupted"},
	"claims the least urgent first": {inMemory(func(st *memory.Store) queue.Store { return reversed{st} }),
		"ClaimOrder", "Claim returns the messages of the highest priority first"},
	"ignores the end of leases in the order": {inMemory(func(st *memory.Store) queue.Store { return byDue{st} }),
		"ClaimAfterTheLeaseEnds", "the later of their due time and the end of their lease"},
	"loses its memory on Close": {inMemory(func(st *memory.Store) queue.Store { return borrower{st} }),
		"Close", "stays readable in m.Content after Remove and after Close"},
	"walks over messages that are free": {inMemory(func(st *memory.Store) queue.Store { return freeWalker{st} }), "Walk", "Walk calls f with the entry of each stored message"},
	"searches for the spelling of addresses": {inMemory(func(st *memory.Store) queue.Store { return speller{st} }),
		"Search", "addresses are equal if strings.ToLower makes them equal"},
	"forgets the attempts": {inMemory(func(st *memory.Store) queue.Store { return noAttempts{st} }),
		"AgainstAModel", "Search returns the messages that s selects"},
	"takes the first ID for the oldest message": {inMemory(func(st *memory.Store) queue.Store { return firstIsOldest{st} }),
		"HopsOldest", "HopSum.Oldest is when the oldest message of the hop was received"},
	"removes a later suspension": {inMemory(func(st *memory.Store) queue.Store { return removesAny{st} }),
		"Suspensions", "RemoveSuspension does not remove a suspension that began at another time"},
	"keeps suspensions in memory": {onDiskBut(func(s *spool.Spool) queue.Store { return forgetful{s, new(memory.Store)} }),
		"ReopenKeepsSuspensions", "the change is on stable storage"},
	"no checksum of content": {unchecked, "DamagedContent", "Content never returns wrong bytes"},
	"no checksum of envelopes": {unchecked, "DamagedEnvelope",
		"no envelope is returned with wrong values"},
	"no sync":            {onDisk(func(fs queuetest.FileSystem) queuetest.FileSystem { return noSync{fs, true} }), "PowerFailure", "after a power failure"},
	"no sync of folders": {onDisk(func(fs queuetest.FileSystem) queuetest.FileSystem { return noSync{fs, false} }), "PowerFailure", "after a power failure"},

	"Sync does nothing": {wrapped(onDisk(synced), func(st queue.Store) queue.Store { return lazy{st} }),
		"PowerFailure", "when Sync has returned nil"},

	"correct, in memory": {inMemory(func(st *memory.Store) queue.Store { return st }),
		"(UpdateInterrupted|ClaimOrder|ClaimAfterTheLeaseEnds|Suspensions|Close|Search|HopsOldest|AgainstAModel)", ""},
	"correct, on disk": {onDisk(synced),
		"(Damaged.*|ReopenKeepsSuspensions|PowerFailure)", ""},
}

// TestMutant runs the suite on the store that the environment names.
func TestMutant(t *testing.T) {
	if name := os.Getenv(mutantName); name != "" {
		queuetest.Test(t, mutants[name].config)
	}
}

// TestFindsMutants runs TestMutant in a process for each mutant, because the suite
// ends the test that calls it.
func TestFindsMutants(t *testing.T) {
	for name, mu := range mutants {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestMutant$/^"+mu.subtest+"$", "-test.v")
			cmd.Env = append(os.Environ(), mutantName+"="+name)
			out, err := cmd.CombinedOutput()
			switch {
			case !bytes.Contains(out, []byte("=== RUN   TestMutant/")):
				t.Errorf("the subtest %s did not run:\n%s", mu.subtest, out)
			case mu.rule == "" && err != nil:
				t.Errorf("a correct store fails:\n%s", out)
			case mu.rule != "" && err == nil:
				t.Errorf("%s passes:\n%s", mu.subtest, out)
			case mu.rule != "" && !bytes.Contains(out, []byte(mu.rule)):
				t.Errorf("the failure does not name the rule %q:\n%s", mu.rule, out)
			}
		})
	}
}

func inMemory(mutate func(*memory.Store) queue.Store) queuetest.Config {
	return queuetest.Config{Open: func(*testing.T, string) queue.Store { return mutate(new(memory.Store)) }}
}

type forgetsInterrupted struct{ *memory.Store }

func (st forgetsInterrupted) Update(ctx context.Context, owner string, m *queue.Message, s queue.Schedule) error {
	if old, err := st.Get(ctx, m.ID); err == nil {
		c := *m
		c.Interrupted = old.Interrupted
		m = &c
	}
	return st.Store.Update(ctx, owner, m, s)
}

// removesAny removes a suspension whenever it began.
type removesAny struct{ *memory.Store }

func (st removesAny) RemoveSuspension(ctx context.Context, s queue.Suspension) error {
	all, err := st.Suspensions(ctx)
	for _, has := range all {
		if has.Hop == s.Hop && has.Domain == s.Domain {
			return st.Store.RemoveSuspension(ctx, has)
		}
	}
	return err
}

// forgetful keeps suspensions in memory only.
type forgetful struct {
	*spool.Spool
	memory *memory.Store
}

func (st forgetful) PutSuspension(ctx context.Context, s queue.Suspension) error {
	return st.memory.PutSuspension(ctx, s)
}

func (st forgetful) RemoveSuspension(ctx context.Context, s queue.Suspension) error {
	return st.memory.RemoveSuspension(ctx, s)
}

func (st forgetful) Suspensions(ctx context.Context) ([]queue.Suspension, error) {
	return st.memory.Suspensions(ctx)
}

type reversed struct{ *memory.Store }

func (st reversed) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	c.LeastUrgent = !c.LeastUrgent
	return st.Store.Claim(ctx, c)
}

// A freeWalker does not walk over messages that are leased.
type freeWalker struct{ *memory.Store }

func (st freeWalker) Walk(ctx context.Context, f func(*queue.Entry)) error {
	return st.Store.Walk(ctx, func(e *queue.Entry) {
		if e.Schedule.Owner == "" {
			f(e)
		}
	})
}

// A speller finds only senders that are spelled as in the search.
type speller struct{ *memory.Store }

func (st speller) Search(ctx context.Context, s queue.Search) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		for e, err := range st.Store.Search(ctx, s) {
			if err == nil && s.From != "" {
				if m, err := st.Get(ctx, e.ID); err == nil && m.From != s.From {
					continue
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// noAttempts finds no message by its attempts.
type noAttempts struct{ *memory.Store }

func (st noAttempts) Search(ctx context.Context, s queue.Search) iter.Seq2[*queue.Entry, error] {
	if s.Status == queue.MessageRetry {
		s.Status = queue.MessageReady
	}
	return st.Store.Search(ctx, s)
}

type firstIsOldest struct{ *memory.Store }

func (st firstIsOldest) Hops(ctx context.Context) ([]queue.HopSum, error) {
	sums, err := st.Store.Hops(ctx)
	for i := range sums {
		for e := range st.List(ctx, queue.Query{Hop: &sums[i].Hop}) {
			sums[i].Oldest = e.Received
			break
		}
	}
	return sums, err
}

type byDue struct{ *memory.Store }

func (st byDue) Claim(ctx context.Context, c queue.Claim) ([]*queue.Message, error) {
	due := make(map[string]time.Time)
	for e := range st.List(ctx, queue.Query{}) {
		due[e.ID] = e.Schedule.Due
	}
	ms, err := st.Store.Claim(ctx, c)
	slices.SortStableFunc(ms, func(a, b *queue.Message) int { return due[a.ID].Compare(due[b.ID]) })
	return ms, err
}

// A borrower reads the content of the messages that were put from its own memory,
// which ends with Close.
type borrower struct{ *memory.Store }

func (st borrower) Put(ctx context.Context, m *queue.Message, s queue.Schedule) error {
	err := st.Store.Put(ctx, m, s)
	if err == nil {
		m.Content = borrowed{m.Content, st.Closed()}
	}
	return err
}

type borrowed struct {
	queue.Content
	closed <-chan struct{}
}

func (b borrowed) WriteTo(w io.Writer) (int64, error) {
	select {
	case <-b.closed:
		return 0, queue.ErrClosed
	default:
		return b.Content.WriteTo(w)
	}
}

// unchecked is a store that keeps its messages in a file while it is closed, without
// a checksum.
var unchecked = queuetest.Config{
	Open: func(t *testing.T, dir string) queue.Store {
		st := &fileStore{Store: new(memory.Store), name: filepath.Join(dir, "messages.json")}
		if err := st.load(); err != nil {
			t.Fatal(err)
		}
		return st
	},
	Durable: true,
}

type fileStore struct {
	*memory.Store
	name string
}

type savedMessage struct {
	ID, From, Content string
	Recipients        []*queue.Recipient
	Received          time.Time
}

func (st *fileStore) load() error {
	b, err := os.ReadFile(st.name)
	if os.IsNotExist(err) {
		return nil
	}
	var saved []savedMessage
	if err == nil {
		err = json.Unmarshal(b, &saved)
	}
	for _, s := range saved {
		m := &queue.Message{ID: s.ID, From: s.From, Recipients: s.Recipients, Received: s.Received, Content: queue.String(s.Content)}
		if err == nil {
			err = st.Put(context.Background(), m, queue.Schedule{})
		}
	}
	return err
}

func (st *fileStore) Close() error {
	ctx := context.Background()
	var saved []savedMessage
	for e, err := range st.List(ctx, queue.Query{}) {
		if err != nil {
			return err
		}
		m, err := st.Get(ctx, e.ID)
		if err != nil {
			return err
		}
		var b strings.Builder
		if _, err := m.Content.WriteTo(&b); err != nil {
			return err
		}
		saved = append(saved, savedMessage{m.ID, m.From, b.String(), m.Recipients, m.Received})
	}
	b, err := json.Marshal(saved)
	if err == nil {
		err = os.WriteFile(st.name, b, 0o600)
	}
	if err != nil {
		return err
	}
	return st.Store.Close()
}

// onDisk is the spool on a file system that mutate changes.
func onDisk(mutate func(queuetest.FileSystem) queuetest.FileSystem) queuetest.Config {
	open := func(t *testing.T, dir string, o *spool.Options) queue.Store {
		o.SegmentSize, o.LargeContent = 256<<10, 8<<10
		s, err := spool.Open(dir, o)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		return s
	}
	return queuetest.Config{
		Open:    func(t *testing.T, dir string) queue.Store { return open(t, dir, new(spool.Options)) },
		Durable: true,
		OpenOn: func(t *testing.T, fs queuetest.FileSystem, dir string) queue.Store {
			return open(t, dir, &spool.Options{FileSystem: mutate(fs)})
		},
	}
}

// onDiskBut is the spool with other methods.
func onDiskBut(wrap func(*spool.Spool) queue.Store) queuetest.Config {
	open := onDisk(synced).Open
	return queuetest.Config{Durable: true, Open: func(t *testing.T, dir string) queue.Store { return wrap(open(t, dir).(*spool.Spool)) }}
}

func synced(fs queuetest.FileSystem) queuetest.FileSystem { return fs }

// wrapped makes OpenOn return another store.
func wrapped(c queuetest.Config, wrap func(queue.Store) queue.Store) queuetest.Config {
	open := c.OpenOn
	c.OpenOn = func(t *testing.T, fs queuetest.FileSystem, dir string) queue.Store { return wrap(open(t, fs, dir)) }
	return c
}

type lazy struct{ queue.Store }

func (lazy) Sync(context.Context) error { return nil }

// noSync is a file system that does not sync folders and, if files is set, files.
type noSync struct {
	queuetest.FileSystem
	files bool
}

func (noSync) SyncDir(string) error { return nil }

func (fs noSync) Open(name string, mode queuetest.Mode) (queuetest.File, error) {
	f, err := fs.FileSystem.Open(name, mode)
	if err == nil && fs.files {
		f = unsynced{f}
	}
	return f, err
}

type unsynced struct{ queuetest.File }

func (unsynced) Sync() error { return nil }
