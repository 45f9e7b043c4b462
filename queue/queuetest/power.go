package queuetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/memdisk"
	"github.com/bridgehead-mail/bridgehead/internal/vfs"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A FileSystem has the calls of a store to the operating system (see
// Config.OpenOn). Names are paths. The errors are those of package os.
//
//	type FileSystem interface {
//		Open(name string, mode Mode) (File, error)
//		Rename(from, to string) error
//		Remove(name string) error
//		MkdirAll(name string) error
//		ReadDir(name string) ([]fs.DirEntry, error)
//		SyncDir(name string) error              // makes the changes to the names in a directory durable
//		Adopt(f *os.File, name string) error    // makes the bytes of f durable, and gives f a name in addition to any that it has
//	}
type FileSystem = vfs.FileSystem

// A File is a regular file of a FileSystem.
//
//	type File interface {
//		ReadAt(b []byte, off int64) (int, error)
//		WriteAt(bufs [][]byte, off int64) error // writes all buffers, one after the other
//		Sync() error                            // makes the bytes of the file durable
//		Size() (int64, error)
//		Close() error
//	}
type File = vfs.File

// A Mode is how FileSystem.Open opens a file.
type Mode = vfs.Mode

const (
	Read   = vfs.Read   // only for reading
	Write  = vfs.Write  // for reading and writing
	Create = vfs.Create // creates a file, which must not exist, for reading and writing
)

// A powerTest uses a store on a disk that loses its power again and again.
type powerTest struct {
	f      *fixture
	rnd    *rand.Rand
	disk   *memdisk.Disk
	died   bool // the power fails during a call; disk's lock guards it
	stored map[string]*powerMessage
	next   int
	// suspended has the suspensions that the store may have: one list, or two if
	// the power failed during a change.
	suspended [][]queue.Suspension
}

// A powerMessage is what a powerTest knows about a message.
type powerMessage struct {
	attempts int  // the newest number that was recorded
	synced   int  // the newest number that is on stable storage
	maybe    bool // Put or Remove has not ended: it may be there or not
	removed  bool // and no later Sync has ended
}

const powerOwner = "a"

func powerFailure(t *testing.T, f *fixture) {
	f.st.Close() // the store on real files is not used
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := &powerTest{f: f, rnd: rand.New(rand.NewPCG(seed, 0)), disk: memdisk.New(seed), stored: make(map[string]*powerMessage)}
	p.suspended = [][]queue.Suspension{nil}
	for range 30 {
		p.open()
		p.verify()
		p.failLater()
		p.work()
		after := p.disk.PowerFails()
		f.st.Close() // its errors do not matter: the disk is gone
		p.disk = after
	}
	p.open()
	p.verify()
}

func (p *powerTest) open() {
	t := p.f.t
	t.Helper()
	open := func() queue.Store { return p.f.c.OpenOn(t, p.disk, "queue") }
	p.f.open("after a power failure, the store can be opened", open)
}

// work makes some calls until one fails. In half of the rounds, the last one is a
// Sync after a change: nothing later makes the change durable.
func (p *powerTest) work() {
	for range 5 + p.rnd.IntN(40) {
		if !p.step() {
			return
		}
	}
	if id := p.any(); id != "" && p.rnd.IntN(2) == 0 && p.update(id) {
		p.sync()
	}
}

// failLater makes the power fail during a later call to the disk.
func (p *powerTest) failLater() {
	p.disk.Lock()
	defer p.disk.Unlock()
	p.died = false
	last := p.disk.Calls + 1 + p.rnd.IntN(200)
	p.disk.Fail = func(call int, op, name string) error {
		if call < last {
			return nil
		}
		p.died = true
		return memdisk.ErrDied
	}
}

// failed reports whether err is an error. It fails the test if the disk works.
func (p *powerTest) failed(call, id string, err error) bool {
	p.f.t.Helper()
	p.disk.Lock()
	defer p.disk.Unlock()
	if err != nil && !p.died {
		p.f.t.Fatalf("%s succeeds while the disk works: %s %s returned %v", call, call, id, err)
	}
	return err != nil
}

// step makes one call. It returns false if the call failed.
func (p *powerTest) step() bool {
	if st, ok := p.f.st.(queue.SuspensionStore); ok && p.rnd.IntN(8) == 0 {
		return p.suspend(st)
	}
	switch id := p.any(); {
	case id == "" || p.rnd.IntN(2) == 0:
		return p.put()
	case p.rnd.IntN(3) > 0:
		return p.update(id)
	case p.rnd.IntN(2) == 0:
		return p.remove(id)
	default:
		return p.sync()
	}
}

// suspend suspends a domain, replaces the suspension, or removes it.
func (p *powerTest) suspend(st queue.SuspensionStore) bool {
	p.next++
	before := p.suspended[0]
	s := domainSuspension
	s.Since = at(time.Duration(p.next) * time.Second)
	after, call, change := []queue.Suspension{s}, "PutSuspension", st.PutSuspension
	if len(before) > 0 && p.rnd.IntN(2) == 0 {
		s, after, call, change = before[0], nil, "RemoveSuspension", st.RemoveSuspension
	}
	if p.failed(call, s.Domain, change(ctx, s)) {
		p.suspended = [][]queue.Suspension{before, after}
		return false
	}
	p.suspended = [][]queue.Suspension{after}
	return true
}

// verifySuspensions compares the suspensions with those on stable storage.
func (p *powerTest) verifySuspensions() {
	t := p.f.t
	t.Helper()
	st, ok := p.f.st.(queue.SuspensionStore)
	if !ok {
		return
	}
	got, err := st.Suspensions(ctx)
	for _, want := range p.suspended {
		if slices.Equal(suspensionTexts(got), suspensionTexts(want)) {
			p.suspended = [][]queue.Suspension{got}
			return
		}
	}
	t.Fatalf("when PutSuspension or RemoveSuspension has returned nil, the change is on stable storage: after a power failure, the suspensions are %v, %v; want one of %v", suspensionTexts(got), err, p.suspended)
}

// any returns the ID of a message that can be updated.
func (p *powerTest) any() string {
	var ids []string
	for id, pm := range p.stored {
		if !pm.removed {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids) // so that the seed decides
	return ids[p.rnd.IntN(len(ids))]
}

func powerMessageOf(id string) *queue.Message {
	m := message(id)
	n := 1 + len(id)*7%40
	if strings.HasSuffix(id, "3") {
		n = 20000
	}
	m.Content = queue.String(strings.Repeat(id+"\r\n", n))
	return m
}

var powerLease = queue.Schedule{Owner: powerOwner, Until: at(time.Hour)}

func (p *powerTest) put() bool {
	p.next++
	id := fmt.Sprint("m", p.next)
	pm := &powerMessage{maybe: true}
	p.stored[id] = pm
	if p.failed("Put", id, p.f.st.Put(ctx, powerMessageOf(id), powerLease)) {
		return false
	}
	pm.maybe = false
	return true
}

func (p *powerTest) update(id string) bool {
	pm := p.stored[id]
	m := powerMessageOf(id)
	pm.attempts++
	for _, r := range m.Recipients {
		r.Attempts = pm.attempts
	}
	return !p.failed("Update", id, p.f.st.Update(ctx, powerOwner, m, powerLease))
}

func (p *powerTest) remove(id string) bool {
	pm := p.stored[id]
	pm.removed, pm.maybe = true, true
	return !p.failed("Remove", id, p.f.st.Remove(ctx, powerOwner, id))
}

// sync makes all updates durable that were recorded.
func (p *powerTest) sync() bool {
	if p.failed("Sync", "", p.f.st.Sync(ctx)) {
		return false
	}
	for _, pm := range p.stored {
		pm.synced = pm.attempts
		pm.maybe = false
	}
	return true
}

// verify compares the store with what is on stable storage, and leases all
// messages again.
func (p *powerTest) verify() {
	t := p.f.t
	t.Helper()
	p.verifySuspensions()
	there := make(map[string]bool)
	for _, e := range p.f.list(queue.Query{}) {
		there[e.ID] = true
		if p.stored[e.ID] == nil {
			t.Fatalf("when Sync has returned nil, a message that was removed before does not return after a power failure: %s is in the store", e.ID)
		}
	}
	for id, pm := range p.stored {
		if !there[id] {
			if !pm.maybe && !pm.removed {
				t.Fatalf("when Put has returned nil, envelope and content are on stable storage: after a power failure, %s is lost", id)
			}
			delete(p.stored, id)
			continue
		}
		if pm.removed && !pm.maybe {
			t.Fatalf("when Sync has returned nil, a message that was removed before does not return after a power failure: %s is in the store", id)
		}
		p.verifyMessage(id, pm)
	}
}

func (p *powerTest) verifyMessage(id string, pm *powerMessage) {
	t := p.f.t
	t.Helper()
	c := claim(powerOwner, 0, 1)
	c.ID, c.Until = id, powerLease.Until
	ms := p.f.claim(c)
	sameIDs(t, "when a store is opened again, the leases of the process that died have expired", ms, id)
	for _, r := range ms[0].Recipients {
		if r.Attempts < pm.synced || r.Attempts > pm.attempts {
			t.Fatalf("when Sync has returned nil, all updates before it are on stable storage: after a power failure, %s has %d attempts; %d were made durable, %d recorded", id, r.Attempts, pm.synced, pm.attempts)
		}
		pm.attempts = r.Attempts
		r.Attempts = 0
	}
	*pm = powerMessage{attempts: pm.attempts, synced: pm.attempts}
	sameMessage(t, "after a power failure, each stored message is complete", ms[0], powerMessageOf(id))
}
