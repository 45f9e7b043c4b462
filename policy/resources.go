package policy

import (
	"context"
	"errors"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// DiskUse returns a resource for the file system that contains dir. The unit
// is percent. Medium is 90, High is 97.
func DiskUse(dir string) Resource {
	return Resource{Name: "disk of " + dir, Medium: 90, High: 97, Use: func() (float64, error) { return diskUse(dir) }}
}

// MemoryUse returns a resource for the memory of the process, in percent of
// limit bytes. If limit is 0, Go's memory limit (GOMEMLIMIT) is used; it must
// then be set. Medium is 73, High is 90.
func MemoryUse(limit int64) Resource {
	return Resource{Name: "memory", Medium: 73, High: 90, Use: func() (float64, error) {
		most := limit
		if most <= 0 {
			most = debug.SetMemoryLimit(-1)
		}
		if most == 1<<63-1 {
			return 0, errors.New("policy: no memory limit is set")
		}
		// Go's limit applies to all mapped memory without the memory that was
		// returned to the system.
		sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(sample)
		used := sample[0].Value.Uint64() - sample[1].Value.Uint64()
		return 100 * float64(used) / float64(most), nil
	}}
}

// QueueLength returns a resource for the number of messages in the store of a
// queue. Medium is 10,000, High is 15,000 (Exchange: submission queue).
func QueueLength(store queue.Store) Resource {
	return Resource{Name: "queue", Medium: 10_000, High: 15_000, Use: func() (float64, error) {
		ctx, cancel := context.WithTimeout(context.Background(), queueTime)
		defer cancel()
		hops, err := store.Hops(ctx)
		n := 0
		for _, h := range hops {
			n += h.Count
		}
		return float64(n), err
	}}
}

// queueTime limits how long a remote or shared store may delay MAIL.
const queueTime = time.Second
