package routing

import (
	"context"
	"sync"
	"time"
)

// A dnsKey is a query: a name in lower case without the final dot, and a type.
type dnsKey struct {
	name  string
	qtype RecordType
}

// A dnsCache keeps answers and negative answers until they expire.
type dnsCache struct {
	mu      sync.RWMutex // guards entries and weight
	entries map[dnsKey]dnsEntry
	weight  int // of all entries
}

// weigh returns the number of cache entries that an answer counts as: one, and
// one more for each 256 bytes of memory.
func weigh(a *Answer) int {
	if a == nil {
		return 1
	}
	const record = 64 // the overhead of a record in bytes
	n := 0
	for _, mx := range a.MX {
		n += record + len(mx.Host)
	}
	for _, texts := range [][]string{a.TXT, a.Names} {
		for _, text := range texts {
			n += record + len(text)
		}
	}
	for _, t := range a.TLSA {
		n += record + len(t.Data)
	}
	n += record * len(a.Addrs)
	return 1 + n/256
}

type dnsEntry struct {
	answer  *Answer
	err     error
	expires time.Time
	weight  int
}

func (c *dnsCache) get(key dnsKey, now time.Time) (*Answer, error, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[key]
	if !ok || !now.Before(e.expires) {
		return nil, nil, false
	}
	return e.answer, e.err, true
}

func (c *dnsCache) put(key dnsKey, a *Answer, err error, expires, now time.Time, limit int) {
	if limit < 0 || !now.Before(expires) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[dnsKey]dnsEntry)
	}
	c.drop(key)
	e := dnsEntry{a, err, expires, weigh(a)}
	if c.weight+e.weight > limit {
		c.shrink(now, limit-limit/8-e.weight)
	}
	if c.weight+e.weight <= limit { // otherwise it is larger than the whole cache
		c.entries[key] = e
		c.weight += e.weight
	}
}

// shrink removes expired entries, and then any entries until the weight is at
// most to. Removed entries are looked up again when needed. The caller holds
// mu, also for drop.
func (c *dnsCache) shrink(now time.Time, to int) {
	for k, e := range c.entries {
		if !now.Before(e.expires) {
			c.drop(k)
		}
	}
	for k := range c.entries {
		if c.weight <= to {
			return
		}
		c.drop(k)
	}
}

func (c *dnsCache) drop(key dnsKey) {
	c.weight -= c.entries[key].weight
	delete(c.entries, key)
}

// flights joins concurrent calls for the same query. It is not a
// singleflight.Group, because it counts the callers that wait: it cancels a
// query that no caller waits for, so that mail to a domain whose servers do not
// answer leaves no queries behind.
type flights struct {
	mu sync.Mutex // guards m and the waiters in it
	m  map[dnsKey]*flight
}

type flight struct {
	waiters int
	cancel  context.CancelFunc
	done    chan struct{} // closed when answer and err are set
	answer  *Answer
	err     error
}

// do runs ask, or waits for the call that already runs for key. The query is
// not canceled with the context of its first caller, but when no caller waits
// for it.
func (fs *flights) do(ctx context.Context, key dnsKey, ask func(context.Context) (*Answer, error)) (*Answer, error) {
	fs.mu.Lock()
	f := fs.m[key]
	if f == nil {
		if fs.m == nil {
			fs.m = make(map[dnsKey]*flight)
		}
		askCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{cancel: cancel, done: make(chan struct{})}
		fs.m[key] = f
		go func() {
			f.answer, f.err = ask(askCtx)
			fs.mu.Lock()
			fs.forget(key, f)
			fs.mu.Unlock()
			cancel()
			close(f.done)
		}()
	}
	f.waiters++
	fs.mu.Unlock()

	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		fs.forget(key, f) // it is being canceled: no other caller may join it
	}
	return nil, &LookupError{Problem: DNSUnavailable, Name: key.name, Type: key.qtype, Err: ctx.Err()}
}

// forget removes a flight from the map. The caller holds fs.mu.
func (fs *flights) forget(key dnsKey, f *flight) {
	if fs.m[key] == f {
		delete(fs.m, key)
	}
}
