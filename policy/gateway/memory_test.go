package gateway_test

import (
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// withoutGOMEMLIMIT makes the test independent of the environment.
func withoutGOMEMLIMIT(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	os.Unsetenv("GOMEMLIMIT")
	was := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(was) })
}

// whileRunning calls f while a relay runs.
func (r *relay) whileRunning(t *testing.T, f func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r.socket = smtptest.NewListener()
		r.Listeners[0].Socket = r.socket
		stop := r.run(t)
		smtptest.TalkOn(t, r.dial(t), "S: 220\nC: QUIT\nS: 221\n").Close()
		f()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// The limits that are not set follow from the memory limit. Those that the
// application has set do not change.
func TestLimitsFollowTheMemoryLimit(t *testing.T) {
	withoutGOMEMLIMIT(t)
	for _, c := range []struct {
		name   string
		memory int64
		server smtpserver.Limits // expected
		queue  queue.Limits
		set    bool // the application has set its own
	}{
		{name: "96 MB", memory: 96 << 20,
			server: smtpserver.Limits{Connections: 192, TotalMemory: 12 << 20},
			queue:  queue.Limits{Memory: 12 << 20, Active: 1536, Deliveries: 96}},
		{name: "1 GiB", memory: 1 << 30,
			server: smtpserver.Limits{Connections: 2048, TotalMemory: 128 << 20},
			queue:  queue.Limits{Active: 16384}},
		{name: "8 GiB", memory: 8 << 30},
		{name: "8 MiB", memory: 8 << 20,
			server: smtpserver.Limits{Connections: 20, TotalMemory: 1 << 20, MemoryContent: 32 << 10},
			queue:  queue.Limits{Memory: 1 << 20, Active: 128, Deliveries: 10}},
		{name: "none", memory: -1},
		{name: "settings of the application", memory: 96 << 20, set: true,
			server: smtpserver.Limits{Connections: 7, TotalMemory: 8, MemoryContent: 9},
			queue:  queue.Limits{Memory: 10, Active: 11, Deliveries: 12}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelay(t)
			r.MemoryLimit = c.memory
			srv := r.Listeners[0].Server
			agents := len(srv.Agents)
			if c.set {
				srv.Limits, r.Queue.Limits = c.server, c.queue
			}
			r.whileRunning(t, func() {
				l := srv.Limits
				if l.Connections != c.server.Connections || l.TotalMemory != c.server.TotalMemory || l.MemoryContent != c.server.MemoryContent {
					t.Errorf("limits of the server: %d connections, %d bytes of content, %d of a message", l.Connections, l.TotalMemory, l.MemoryContent)
				}
				if r.Queue.Limits != c.queue {
					t.Errorf("limits of the queue: %+v, want %+v", r.Queue.Limits, c.queue)
				}
				if added := len(srv.Agents) - agents; (added == 1) != (c.memory > 0) {
					t.Errorf("%d agents were added", added)
				}
			})
		})
	}
}

// Several servers divide their part of the memory.
func TestServersDivideTheMemory(t *testing.T) {
	withoutGOMEMLIMIT(t)
	r := newRelay(t)
	r.MemoryLimit = 96 << 20
	r.Listeners = append(r.Listeners, &gateway.Listener{Server: r.server(t, "relay.example.com"), Socket: smtptest.NewListener()})
	r.Servers = []*smtpserver.Server{r.server(t, "relay.example.com")}
	synctest.Test(t, func(t *testing.T) {
		r.socket = smtptest.NewListener()
		r.Listeners[0].Socket, r.Listeners[1].Socket = r.socket, smtptest.NewListener()
		stop := r.run(t)
		smtptest.TalkOn(t, r.dial(t), "S: 220\nC: QUIT\nS: 221\n").Close()
		if err := r.Listeners[0].Replace(r.server(t, "new.example.com")); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	for _, srv := range []*smtpserver.Server{r.Listeners[0].Server, r.Listeners[1].Server, r.Servers[0]} {
		if srv.Limits.Connections != 64 || srv.Limits.TotalMemory != 4<<20 {
			t.Errorf("%d connections, %d bytes of content", srv.Limits.Connections, srv.Limits.TotalMemory)
		}
	}
}

// Run sets the limit of the runtime, and reverts it at the end. It does not
// change a limit that the environment or the program has set.
func TestRuntimeMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		name     string
		setting  int64
		env      string
		program  int64
		want     int64
		capacity int // of connections
	}{
		{name: "setting", setting: 400 << 20, want: 300 << 20, capacity: 800},
		{name: "no limit", setting: -1, want: math.MaxInt64},
		{name: "GOMEMLIMIT", setting: 400 << 20, env: "350MiB", program: 350 << 20, want: 350 << 20, capacity: 800},
		{name: "GOMEMLIMIT=off", setting: 400 << 20, env: "off", want: math.MaxInt64, capacity: 800},
		{name: "only GOMEMLIMIT", env: "200MiB", program: 200 << 20, want: 200 << 20, capacity: 400},
		{name: "the program", setting: 400 << 20, program: 250 << 20, want: 250 << 20, capacity: 800},
	} {
		t.Run(c.name, func(t *testing.T) {
			withoutGOMEMLIMIT(t)
			if c.env != "" {
				t.Setenv("GOMEMLIMIT", c.env)
			}
			if c.program > 0 { // as the runtime does at start with GOMEMLIMIT
				debug.SetMemoryLimit(c.program)
			}
			before := debug.SetMemoryLimit(-1)
			r := newRelay(t)
			r.MemoryLimit = c.setting
			r.whileRunning(t, func() {
				if got := debug.SetMemoryLimit(-1); got != c.want {
					t.Errorf("limit of the runtime %d, want %d", got, c.want)
				}
				if got := r.Listeners[0].Server.Limits.Connections; got != c.capacity {
					t.Errorf("%d connections, want %d", got, c.capacity)
				}
			})
			if got := debug.SetMemoryLimit(-1); got != before {
				t.Errorf("after Run the limit is %d, want %d", got, before)
			}
		})
	}
}

// While too much memory is in use, MAIL is refused with 452.
func TestMemoryPressure(t *testing.T) {
	withoutGOMEMLIMIT(t)
	for _, c := range []struct {
		limit int64
		want  string
	}{{1 << 20, "452 4.3.1"}, {4 << 30, "250"}} {
		r := newRelay(t)
		r.MemoryLimit = c.limit
		r.whileRunning(t, func() {
			smtptest.TalkOn(t, r.dial(t), "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.net>\nS: "+c.want+"\n").Close()
		})
		if !strings.Contains(r.logged(), `msg="memory limit" bytes=`) {
			t.Errorf("log: %s", r.logged())
		}
	}
}
