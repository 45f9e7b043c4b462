package policy

import (
	"context"
	"errors"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// DiskUse is the resource of the file system that holds dir, in percent.
// Medium and high are 90 and 97 percent.
func DiskUse(dir string) Resource {
	return Resource{Name: "disk of " + dir, Medium: 90, High: 97, Use: func() (float64, error) { return diskUse(dir) }}
}

// MemoryUse is the resource of the process's memory, in percent of limit
// bytes; 0 stands for Go's memory limit (GOMEMLIMIT), which must then be set.
// Medium and high are 73 and 90 percent of it.
func MemoryUse(limit int64) Resource {
	return Resource{Name: "memory", Medium: 73, High: 90, Use: func() (float64, error) {
		most := limit
		if most <= 0 {
			most = debug.SetMemoryLimit(-1)
		}
		if most == 1<<63-1 {
			return 0, errors.New("policy: no memory limit is set")
		}
		// What counts towards Go's limit: all that is mapped, less what was
		// given back.
		sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(sample)
		used := sample[0].Value.Uint64() - sample[1].Value.Uint64()
		return 100 * float64(used) / float64(most), nil
	}}
}

// QueueLength is the resource of a queue's room: the messages that its store
// holds, wherever they are on their way to. Medium and high are 10,000 and
// 15,000 (Exchange: submission queue).
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

// queueTime bounds how long a store that others share, behind a network, may
// hold up those who say MAIL.
const queueTime = time.Second
