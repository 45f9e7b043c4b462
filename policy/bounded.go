package policy

// bounded is a map of limited size. When it is full it drops the least
// recently used of a few randomly chosen entries. The user of the map locks
// it.
type bounded[K comparable, V any] struct {
	m    map[K]*V
	max  int
	used func(*V) int64 // the time of last use, in any unit
}

// get returns the entry of a key, and creates it if necessary. made reports
// whether the entry is new.
func (b *bounded[K, V]) get(k K) (v *V, made bool) {
	if v = b.m[k]; v != nil {
		return v, false
	}
	if b.m == nil {
		b.m = make(map[K]*V)
	}
	for len(b.m) >= b.max {
		b.forget()
	}
	v = new(V)
	b.m[k] = v
	return v, true
}

// forget drops an old entry. Iteration over a Go map starts at a random place.
func (b *bounded[K, V]) forget() {
	const sample = 8
	var oldest K
	var when int64
	n := 0
	for k, v := range b.m {
		if at := b.used(v); n == 0 || at < when {
			oldest, when = k, at
		}
		if n++; n == sample {
			break
		}
	}
	delete(b.m, oldest)
}
