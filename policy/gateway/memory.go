package gateway

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/memlimit"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A memoryBudget divides the memory that a process may use among the parts of a
// relay. Together they get three quarters of it. The rest is for the kernel: the
// buffers of sockets and the page cache of the spool.
type memoryBudget struct {
	limit   int64 // of the process; 0 means none
	runtime int64 // of Go's runtime
	servers int   // that share the part of the servers
}

// What one of these needs at most, estimated from profiles.
const (
	sessionMemory  = 128 << 10 // an input buffer, TLS, a stack
	deliveryMemory = 128 << 10 // buffers, TLS, a stack
	activeMemory   = 8 << 10   // a message with some recipients, without content
)

// newMemoryBudget finds the limit: setting if it is positive, otherwise that of
// the container or of GOMEMLIMIT, whichever is smaller.
func newMemoryBudget(setting int64, servers int) memoryBudget {
	if setting < 0 {
		return memoryBudget{}
	}
	b := memoryBudget{limit: setting, runtime: math.MaxInt64, servers: max(servers, 1)}
	if setting == 0 {
		b.limit = memlimit.Container()
		b.runtime = debug.SetMemoryLimit(-1)
		if b.runtime < math.MaxInt64 && (b.limit == 0 || b.runtime < b.limit) {
			b.limit = b.runtime
		}
	}
	b.runtime = min(b.runtime, b.limit/4*3)
	return b
}

// share returns the number of units of a size that fit into a part of the limit,
// or 0, which means the default, if that is as much as the default or more.
func (b *memoryBudget) share(part, size, standard, least int64) int64 {
	n := max(b.limit/part/size, least)
	if n >= standard {
		return 0
	}
	return n
}

// limitServer sets the limits of a server that are not set.
func (b *memoryBudget) limitServer(l *smtpserver.Limits) {
	n := int64(b.servers)
	setIfZero(&l.TotalMemory, b.share(8*n, 1, 256<<20, 1<<20))
	setIfZero(&l.MemoryContent, b.share(256*n, 1, 256<<10, 16<<10))
	setIfZero(&l.Connections, int(b.share(4*n, sessionMemory, 5000, 20)))
}

// limitQueue sets the limits of a queue that are not set.
func (b *memoryBudget) limitQueue(l *queue.Limits) {
	setIfZero(&l.Memory, b.share(8, 1, 128<<20, 1<<20))
	setIfZero(&l.Active, int(b.share(8, activeMemory, 20000, 100)))
	setIfZero(&l.Deliveries, int(b.share(8, deliveryMemory, 500, 10)))
}

func setIfZero[T int | int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// limitRuntime sets the limit of Go's runtime, unless the environment or the
// program has set it. undo reverts this.
func (b *memoryBudget) limitRuntime() (undo func()) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set || debug.SetMemoryLimit(-1) < math.MaxInt64 {
		return func() {}
	}
	debug.SetMemoryLimit(b.runtime)
	return func() { debug.SetMemoryLimit(math.MaxInt64) }
}

// pressure refuses mail with 452 4.3.1 while the memory that is in use leaves
// the garbage collector too little room.
func (b *memoryBudget) pressure(log *slog.Logger) *policy.Pressure {
	return &policy.Pressure{
		Resources: []policy.Resource{{Name: "memory", Use: b.use, High: 80}},
		Interval:  200 * time.Millisecond,
		Logger:    log,
	}
}

// use returns the memory in use, without garbage, in percent of the runtime's
// limit. policy.MemoryUse includes garbage, which in a small container often
// comes near the limit.
func (b *memoryBudget) use() (float64, error) {
	sample := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/memory/classes/os-stacks:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"}, {Name: "/memory/classes/metadata/mspan/inuse:bytes"}, {Name: "/memory/classes/other:bytes"},
	}
	metrics.Read(sample)
	used := uint64(0)
	for _, s := range sample {
		used += s.Value.Uint64()
	}
	return 100 * float64(used) / float64(b.runtime), nil
}
