package live

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open adds a session of the client 192.0.2.n to a registry.
func open(r *Registry, n int, end func()) *Entry {
	e := new(Entry)
	remote := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 1025))
	r.Open(e, fmt.Sprintf("s%d", n), "edge", remote, remote, time.Now(), StateBanner, end)
	return e
}

func say(e *Entry, line string) {
	if e.Watched() {
		e.Publish(Event{Time: time.Now(), Session: e.ID(), Kind: '>', Data: line})
	}
}

// ids returns the IDs of the sessions in order.
func ids(all []Info) string {
	var s []string
	for _, i := range all {
		s = append(s, i.ID)
	}
	return strings.Join(s, " ")
}

// data collects the lines of a watcher until its channel is closed.
func data(lines <-chan Event) func() string {
	var got []string
	closed := make(chan bool)
	go func() {
		for e := range lines {
			got = append(got, e.Data+e.Context)
		}
		close(closed)
	}()
	return func() string {
		<-closed
		return strings.Join(got, "|")
	}
}

func TestRegistry(t *testing.T) {
	var r Registry
	ended := 0
	a, b, c := open(&r, 1, nil), open(&r, 2, func() { ended++ }), open(&r, 3, nil)
	if got := ids(r.Sessions()); got != "s1 s2 s3" || r.Len() != 3 {
		t.Errorf("sessions %s", got)
	}
	if !r.EndSession("s2") || r.EndSession("s4") || ended != 1 {
		t.Errorf("ended %d", ended)
	}
	r.Close(b)
	if got := ids(r.Sessions()); got != "s1 s3" || r.EndSession("s2") {
		t.Errorf("sessions %s", got)
	}
	r.Close(c)
	d := open(&r, 4, nil)
	r.Close(a)
	if got := ids(r.Sessions()); got != "s4" {
		t.Errorf("sessions %s", got)
	}
	r.Close(d)
	if r.Sessions(); r.Len() != 0 {
		t.Errorf("%d sessions", r.Len())
	}
}

// StateSince is the beginning of the state, not of the last change.
func TestStateSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		e := open(&r, 1, nil)
		time.Sleep(time.Second)
		e.Change(StateRcpt, time.Time{}, func(d *Details) { d.Recipients = 1 })
		began := time.Now()
		time.Sleep(time.Second)
		e.Change(StateRcpt, time.Time{}, func(d *Details) { d.Recipients = 2 })
		if i := r.Sessions()[0]; !i.StateSince.Equal(began) || i.Recipients != 2 {
			t.Errorf("%+v", i)
		}
	})
}

// A group shows all registries, also those that are added later, and its watchers
// leave those that are removed.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		var a, b, c Registry
		g.Add(&a)
		g.Add(&a)
		g.Add(&b)
		ctx, cancel := context.WithCancel(t.Context())
		lines, err := g.Watch(ctx, Filter{Client: netip.MustParsePrefix("192.0.2.0/30")})
		if err != nil {
			t.Fatal(err)
		}
		got := data(lines)
		g.KeepDialogue(DefaultDialogue)
		ended := ""
		e2 := open(&b, 2, func() { ended += "2" })
		time.Sleep(time.Second)
		e1 := open(&a, 1, func() { ended += "1" })
		g.Add(&c)
		time.Sleep(time.Second)
		e3, e4 := open(&c, 3, nil), open(&c, 4, nil)
		if got := ids(g.Sessions()); got != "s2 s1 s3 s4" {
			t.Errorf("sessions %s", got)
		}
		for _, e := range []*Entry{e1, e2, e3, e4} {
			say(e, e.ID())
		}
		if !g.EndSession("s1") || g.EndSession("s9") || ended != "1" {
			t.Errorf("ended %q", ended)
		}
		if kept, err := g.Dialogue("s3"); err != nil || len(kept) != 1 || kept[0].Data != "s3" || kept[0].Remote != "192.0.2.3:1025" {
			t.Errorf("dialogue %+v, %v", kept, err)
		}
		if kept, err := g.Dialogue("s9"); err != ErrNoSession {
			t.Errorf("dialogue %+v, %v", kept, err)
		}
		one, err := g.Watch(ctx, Filter{Session: "s3"})
		if err != nil {
			t.Fatal(err)
		}
		history := data(one)
		c.Close(e3)
		if text := history(); text != "s3" {
			t.Errorf("history %q", text)
		}
		if _, err := g.Watch(ctx, Filter{Session: "s3"}); err != ErrNoSession {
			t.Errorf("ended session: %v", err)
		}
		g.Remove(&a)
		say(e1, "after removal")
		synctest.Wait()
		cancel()
		if text := got(); text != "s1|s2|s3" {
			t.Errorf("watched %q", text)
		}
		g.KeepDialogue(0)
		if e2.Watched() || b.watchers.Load() != nil {
			t.Error("a session is still watched")
		}
	})
}

// A watcher of a session misses no line and gets none twice, whenever it begins.
func TestHistoryAndLinesMeet(t *testing.T) {
	const n = 500
	var r Registry
	r.KeepDialogue(MaxDialogue)
	e := open(&r, 1, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			say(e, fmt.Sprint(i))
		}
		r.Close(e)
	})
	for range 10 {
		lines, err := r.Watch(t.Context(), Filter{Session: "s1"})
		if err == ErrNoSession {
			break // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		got := data(lines)
		wg.Go(func() {
			for i, line := range strings.Split(got(), "|") {
				if line != fmt.Sprint(i) {
					t.Errorf("line %d is %q", i, line)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Lines of no session: a connection that failed.
func TestPublishOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		e := open(&r, 1, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var got []func() string
		for _, f := range []Filter{{}, {Connector: "edge"}, {Client: netip.MustParsePrefix("192.0.2.0/24")}, {Connector: "x"}, {Client: netip.MustParsePrefix("::/0")}, {Session: e.ID()}} {
			lines, err := r.Watch(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, data(lines))
		}
		r.PublishOther(Event{Connector: "edge", Context: "failed"}, netip.MustParseAddr("192.0.2.9"))
		synctest.Wait()
		cancel()
		for i, f := range got {
			if text, want := f(), []string{"failed", "failed", "failed", "", "", ""}[i]; text != want {
				t.Errorf("watcher %d: %q", i, text)
			}
		}
	})
}

// Without watchers, a session makes one atomic load for each line.
func BenchmarkWatched(b *testing.B) {
	var r Registry
	e := open(&r, 1, nil)
	b.ReportAllocs()
	for b.Loop() {
		say(e, "NOOP")
	}
}

// The cost of a change of the state.
func BenchmarkChange(b *testing.B) {
	var r Registry
	e := open(&r, 1, nil)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e.Change(StateMail, now, func(d *Details) { d.MessageID, d.From = "m1", "a@example.com" })
	}
}
