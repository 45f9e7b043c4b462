package policy

// bounded is a map that forgets when it is full: of a few entries picked at
// random, the one that was used the longest time ago. Its user locks it.
type bounded[K comparable, V any] struct {
	m    map[K]*V
	max  int
	used func(*V) int64 // when it was used, in any unit
}

// get finds the entry of a key; made says that it is a new one.
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

// forget drops an old entry. Go walks maps from a random place.
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
