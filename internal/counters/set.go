package counters

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Other is the name under which a Set counts when it has MaxNames names.
const Other = "other"

// MaxNames is the largest number of names of a Set, without Other.
const MaxNames = 100

// A Set is a set of counters with names that settings decide, such as those of
// agents. A name needs no declaration. A stranger must not choose names, but if
// a setting lets one do so, memory is still bounded: after MaxNames names, all
// others count as Other. The zero value is ready to use. It is safe for
// concurrent use and must not be copied.
type Set struct {
	mu    sync.Mutex // guards changes of names
	names atomic.Pointer[map[string]*atomic.Int64]
}

// Add adds n to the counter of a name.
func (s *Set) Add(name string, n int64) {
	if m := s.names.Load(); m != nil {
		if c := (*m)[name]; c != nil {
			c.Add(n)
			return
		}
	}
	s.counter(name).Add(n)
}

// counter returns the counter of a new name. The map is copied, because readers
// use it without a lock.
func (s *Set) counter(name string) *atomic.Int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := map[string]*atomic.Int64{}
	if m := s.names.Load(); m != nil {
		old = *m
	}
	if _, known := old[name]; !known && len(old) >= MaxNames {
		name = Other
	}
	if c := old[name]; c != nil {
		return c
	}
	c := new(atomic.Int64)
	changed := maps.Clone(old)
	changed[name] = c
	s.names.Store(&changed)
	return c
}

// Snapshot returns the counters by name.
func (s *Set) Snapshot() map[string]int64 {
	r := make(map[string]int64)
	if m := s.names.Load(); m != nil {
		for name, c := range *m {
			r[name] = c.Load()
		}
	}
	return r
}
