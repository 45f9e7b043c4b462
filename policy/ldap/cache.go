package ldap

import (
	"sync"
	"time"
)

const (
	defaultTTL       = 10 * time.Minute
	defaultMaxCached = 100_000
)

// A cache keeps answers of the servers for a time. An answer that is too old is never
// used. The zero value is ready for use.
type cache[T any] struct {
	mu        sync.Mutex // guards the maps
	now, then map[string]answer[T]
}

// An answer is what the servers have answered for one address.
type answer[T any] struct {
	value T
	err   error // an answer too, such as policy.ErrAmbiguous; see isAnswer
	until time.Time
}

// get returns the answer for a key, if there is one that is not too old.
func (c *cache[T]) get(key string) (answer[T], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.now[key]
	if !ok {
		a, ok = c.then[key]
	}
	return a, ok && time.Now().Before(a.until)
}

// put keeps an answer for ttl (default defaultTTL; negative: not at all). most limits the
// number of answers (default defaultMaxCached): when the newer map has half of them, the
// older one is dropped. So the cost of each answer does not depend on their number.
func (c *cache[T]) put(key string, value T, err error, ttl time.Duration, most int) {
	if ttl < 0 {
		return
	}
	if ttl == 0 {
		ttl = defaultTTL
	}
	if most == 0 {
		most = defaultMaxCached
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil || len(c.now) >= max(most/2, 1) {
		c.then, c.now = c.now, make(map[string]answer[T])
	}
	c.now[key] = answer[T]{value, err, time.Now().Add(ttl)}
}
