package index

// An interned table gives values small numbers from 1 on. It counts references
// and forgets a value that has none. 0 is not the number of any value.
type interned[K comparable, V any] struct {
	nums map[K]uint32
	vals []internedVal[K, V]
	free []uint32
}

type internedVal[K comparable, V any] struct {
	key   K
	refs  int
	extra V
}

// acquire returns the number of a value and adds a reference to it.
func (t *interned[K, V]) acquire(k K) uint32 {
	n, ok := t.nums[k]
	if !ok {
		if t.nums == nil {
			t.nums = make(map[K]uint32)
		}
		if last := len(t.free) - 1; last >= 0 {
			n, t.free = t.free[last], t.free[:last]
		} else {
			t.vals = append(t.vals, internedVal[K, V]{})
			n = uint32(len(t.vals))
		}
		t.nums[k] = n
		t.vals[n-1] = internedVal[K, V]{key: k}
	}
	t.vals[n-1].refs++
	return n
}

// release removes a reference.
func (t *interned[K, V]) release(n uint32) {
	if n == 0 {
		return
	}
	v := &t.vals[n-1]
	if v.refs--; v.refs == 0 {
		delete(t.nums, v.key)
		*v = internedVal[K, V]{}
		t.free = append(t.free, n)
	}
}

// find returns the number of a value, 0 if it has no references.
func (t *interned[K, V]) find(k K) uint32 { return t.nums[k] }

func (t *interned[K, V]) key(n uint32) K    { return t.vals[n-1].key }
func (t *interned[K, V]) extra(n uint32) *V { return &t.vals[n-1].extra }
