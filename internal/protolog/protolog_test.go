package protolog

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func event(data string) Event {
	return Event{Time: noon, Connector: "edge", Session: "s1", Sequence: 3,
		Local: "192.0.2.1:25", Remote: "198.51.100.7:4711", Kind: '<', Data: data}
}

func TestFormat(t *testing.T) {
	e := event("EHLO mail.example.net")
	e.Context = "sets, the scene"
	got := string(e.Append(nil))
	want := `2026-11-21T12:00:00.000Z,edge,s1,3,192.0.2.1:25,198.51.100.7:4711,<,EHLO mail.example.net,"sets, the scene"` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestTimes(t *testing.T) {
	var last second
	for _, at := range []time.Time{
		noon, noon.Add(7 * time.Millisecond), noon.Add(time.Second - 1), noon.Add(120_500 * time.Microsecond),
		noon.In(time.FixedZone("", 5*60*60)), time.Unix(0, 0), {},
	} {
		if got, want := FormatTime(at), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
		if got, want := string(last.appendTime(nil, at)), FormatTime(at); got != want {
			t.Errorf("%v: %s after another event, want %s", at, got, want)
		}
	}
}

// Each event is one line of nine fields, with any data of the peer.
func FuzzOneLine(f *testing.F) {
	for _, s := range []string{"", "MAIL FROM:<a@b>", "a,b", `"`, "x\r\n2026-11-21T00:00:00.000Z,forged", "\x00\xff\u2028\u0085", `\x0A`, strings.Repeat("ä", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := event(s)
		e.Context = s
		line := e.Append(nil)
		if n := bytes.Count(line, []byte("\n")); n != 1 {
			t.Fatalf("%q makes %d lines", s, n)
		}
		for _, c := range line[:len(line)-1] {
			if c < ' ' || c == 0x7f {
				t.Fatalf("%q: %q in the line", s, c)
			}
		}
		r, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil || len(r) != 9 || r[6] != "<" {
			t.Fatalf("%q reads back as %q, %v", s, r, err)
		}
	})
}

func TestWriterBuffersForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		w := NewWriter(&out, Header("SMTP Receive Protocol Log", time.Now()))
		w.Log(event("one"))
		w.Log(event("two"))
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("written at once: %q", out.String())
		}
		time.Sleep(bufferTime) // in the time of synctest
		synctest.Wait()
		if got := out.String(); !strings.HasPrefix(got, "#Software: Bridgehead\n") || strings.Count(got, "\n") != 7 {
			t.Errorf("after a second: %q", got)
		}
		w.Log(event("three"))
		if err := w.Close(); err != nil || !strings.Contains(out.String(), "three") {
			t.Errorf("after Close: %v, %q", err, out.String())
		}
	})
}

// A lockedBuffer is a buffer with a lock, because the Writer's timer writes too.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk on fire") }

// Many sessions log at the same time. The lines of each session are in order, and
// after Close none is missing.
func TestWriterKeepsOrder(t *testing.T) {
	const sessions, lines = 8, 2000 // more than the buffer takes
	var out lockedBuffer
	w := NewWriter(&out, "")
	var wg sync.WaitGroup
	for s := range sessions {
		wg.Go(func() {
			e := event("NOOP")
			e.Session = fmt.Sprintf("s%d", s)
			for e.Sequence = range lines {
				w.Log(e)
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(rows) != sessions*lines {
		t.Fatalf("%d lines of %d, %v", len(rows), sessions*lines, err)
	}
	next := make(map[string]int)
	for _, r := range rows {
		if r[3] != strconv.Itoa(next[r[2]]) {
			t.Fatalf("session %s: %s behind %d lines", r[2], r[3], next[r[2]])
		}
		next[r[2]]++
	}
}

// A fullDisk has no space until free is called.
type fullDisk struct {
	lockedBuffer
	freed atomic.Bool
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if !d.freed.Load() {
		return 0, syscall.ENOSPC
	}
	return d.lockedBuffer.Write(p)
}

// While the disk is full, lines are lost, memory is bounded, and Log does not
// block. When there is space again, the log continues.
func TestWriterOnFullDisk(t *testing.T) {
	var disk fullDisk
	w := NewWriter(&disk, "")
	for range 10_000 {
		w.Log(event(strings.Repeat("x", 1000)))
		if len(w.buf) > bufferBytes {
			t.Fatalf("%d bytes are kept", len(w.buf))
		}
	}
	if err := w.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Flush: %v", err)
	}
	disk.freed.Store(true)
	w.Log(event("QUIT"))
	if err := w.Close(); err != nil || !strings.HasSuffix(disk.String(), ",QUIT,\n") {
		t.Errorf("Close: %v; log: %q", err, disk.String())
	}
}

func TestFlushReturnsErrors(t *testing.T) {
	w := NewWriter(brokenWriter{}, "")
	w.Log(event("one"))
	if err := w.Flush(); err == nil {
		t.Error("Flush hides the error")
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close returns the error again: %v", err)
	}
}

func TestSlog(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	Slog{Logger: l, Level: slog.LevelDebug}.Log(event("NOOP"))
	if !strings.Contains(out.String(), "session-id=s1") || !strings.Contains(out.String(), "data=NOOP") {
		t.Errorf("slog: %s", out.String())
	}
}
