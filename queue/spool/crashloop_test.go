package spool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// logLength returns the length of the files of a log on the real disk. It is 0 if
// there is no log yet.
func logLength(t *testing.T, dir string) (n int64) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(dir, "log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, d := range names {
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// crashLoopSegment is large enough that a new segment takes a noticeable part of a
// short life.
const crashLoopSegment = 64 << 20

// crashLoopLive is how many messages the child of TestCrashLoop keeps.
const crashLoopLive = 1000

// crashLoopChild opens a spool, says so, and then stores and removes messages until it
// is killed. It prints "+ID" after each message that is stored, and "-ID" before it
// removes one.
func crashLoopChild(dir string) {
	s, err := Open(dir, &Options{SegmentSize: crashLoopSegment})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var ids []string
	for e := range s.List(bg, queue.Query{}) {
		ids = append(ids, e.ID)
	}
	fmt.Println("open", len(ids))
	s.Claim(bg, queue.Claim{Owner: "me", Now: time.Unix(1, 0), Until: time.Unix(1e10, 0), Max: 1e6})
	life := time.Now().UnixNano()
	for i := 0; ; i++ {
		id := fmt.Sprintf("m%d-%d", life, i)
		if err := s.Put(bg, testMessage(id, trialContent(id, 20<<10)), forever); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("+" + id)
		ids = append(ids, id)
		for len(ids) > crashLoopLive {
			k := rand.IntN(len(ids))
			fmt.Println("-" + ids[k])
			s.Remove(bg, "me", ids[k])
			ids[k] = ids[len(ids)-1]
			ids = ids[:len(ids)-1]
		}
	}
}

// TestCrashLoop kills a process with SIGKILL 40 to 260 ms after its start, many times;
// later if the one before did not have the time to serve.
// The log stays within its limit, the processes serve, and no message is lost.
func TestCrashLoop(t *testing.T) {
	const env = "BRIDGEHEAD_CRASH_LOOP"
	if dir := os.Getenv(env); dir != "" {
		crashLoopChild(dir)
	}
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	dir := t.TempDir()
	stored := make(map[string]bool)
	served := 0
	longest := int64(0)
	slow := 1
	for range rounds {
		var out bytes.Buffer
		c := exec.Command(os.Args[0], "-test.run=^TestCrashLoop$")
		c.Env = append(os.Environ(), env+"="+dir)
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(slow*(40+rand.IntN(220))) * time.Millisecond)
		c.Process.Kill()
		c.Wait()
		if strings.Contains(out.String(), "error") {
			t.Fatal(out.String())
		}
		if strings.Contains(out.String(), "open") {
			served++
			slow = max(1, slow-1)
		} else {
			slow++
		}
		for lines := bufio.NewScanner(&out); lines.Scan(); {
			id := lines.Text()[1:]
			switch lines.Text()[0] {
			case '+':
				stored[id] = true
			case '-':
				delete(stored, id)
			}
		}
		longest = max(longest, logLength(t, dir))
	}
	s, err := Open(dir, &Options{SegmentSize: crashLoopSegment, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for id := range stored {
		m, err := s.Get(bg, id)
		if err != nil || text(t, m.Content) != text(t, trialContent(id, 20<<10)) {
			t.Errorf("%s: %v", id, err)
		}
	}
	st := s.Stats()
	limit := compactShare*st.Live + 2*crashLoopSegment
	length := logLength(t, dir)
	t.Logf("%d of %d lives served; %d messages, %d bytes needed; the log has %d bytes, at most %d; the limit is %d",
		served, rounds, st.Messages, st.Live, length, longest, limit)
	if length > limit {
		t.Errorf("the log has %d bytes for %d needed ones, the limit is %d", length, st.Live, limit)
	}
	if served == 0 {
		t.Error("no life served")
	}
}

// TestCrashLoopSimulated has processes die on the disk in memory that each make only
// some calls. The log stays within its limit, and nothing is lost.
func TestCrashLoopSimulated(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	d := newSimFS(7)
	const size = 64 << 10
	// An earlier program has left many segments, each nearly empty.
	stored := make(map[string]bool)
	for i := range 30 {
		s := openSim(t, d)
		s.tidying.Lock() // no commit at the same time
		if err := s.log.rotate(0); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("old%d", i)
		if err := s.Put(bg, testMessage(id, trialContent(id, 500)), forever); err != nil {
			t.Fatal(err)
		}
		stored[id] = true
		s.tidying.Unlock()
		d = crash(s, d, false)
	}
	opened, next := 0, 0
	for range 300 {
		var left atomic.Int64 // calls that change the disk
		left.Store(int64(5 + rnd.IntN(60)))
		setFail(d, func(_ int, op, _ string) error {
			switch op {
			case "write", "sync", "rename", "remove", "syncdir":
				if left.Add(-1) < 0 {
					return syscall.EIO
				}
			}
			return nil
		})
		s, err := open("spool", &Options{SegmentSize: size}, d)
		if err != nil {
			setFail(d, nil)
			continue
		}
		opened++
		for id := range stored {
			if _, err := s.Get(bg, id); err != nil {
				t.Fatalf("%s after a crash: %v", id, err)
			}
		}
		if s.log.tooLong() && left.Load() >= 0 {
			t.Fatal("the log is longer than its limit after Open")
		}
		s.Claim(bg, queue.Claim{Owner: "me", Now: time.Unix(1, 0), Until: time.Unix(1e10, 0), Max: 1e6})
		for range 5 {
			next++
			id := fmt.Sprintf("m%d", next)
			if s.Put(bg, testMessage(id, trialContent(id, 1000)), forever) == nil {
				stored[id] = true
			}
		}
		for id := range stored {
			if rnd.IntN(8) == 0 && s.Remove(bg, "me", id) == nil {
				delete(stored, id)
			}
		}
		s.Sync(bg)
		d = crash(s, d, rnd.IntN(2) == 0)
	}
	s := openSim(t, d)
	for id := range stored {
		if _, err := s.Get(bg, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if r := s.Recovery(); len(r.Damaged) > 0 || opened < 100 {
		t.Errorf("opened %d times; %+v", opened, r)
	}
	if s.log.tooLong() {
		t.Errorf("%d segments for %d messages", s.Stats().Segments, len(stored))
	}
}

// A process that dies soon leaves a segment that is nearly empty. The next one reads
// what was written, and not the zeros.
func TestRecoveryReadsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	const size = 64 << 20
	for i := range 3 {
		s, err := Open(dir, &Options{SegmentSize: size})
		if err != nil {
			t.Fatal(err)
		}
		for k := range 20 {
			id := fmt.Sprintf("m%d-%d", i, k)
			if err := s.Put(bg, testMessage(id, trialContent(id, 100<<10)), forever); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fsys := &readCounter{}
	s, err := open(dir, &Options{SegmentSize: size}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const written = 60 * 100 << 10
	if st := s.Stats(); st.Messages != 60 || st.Segments != 1 {
		t.Errorf("%+v", st)
	}
	t.Logf("%d bytes written, %d read", written, fsys.n)
	if fsys.n > 2*written+size/8 {
		t.Errorf("recovery reads %d bytes, %d were written", fsys.n, written)
	}
}

// readCounter is the file system of the operating system. It counts the bytes read.
type readCounter struct {
	osFS
	n int64
}

func (c *readCounter) Open(name string, mode openMode) (file, error) {
	f, err := c.osFS.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return countedFile{f, c}, nil
}

type countedFile struct {
	file
	c *readCounter
}

func (f countedFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	f.c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, err
}
