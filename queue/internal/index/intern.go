package index

// interned gives values small numbers, counted from 1, for as long as
// somebody holds them; 0 is the number of nothing.
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

// hold returns the value's number and counts one more holder.
func (t *interned[K, V]) hold(k K) uint32 {
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

// release counts one holder less.
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

// find is the value's number, 0 when nobody holds it.
func (t *interned[K, V]) find(k K) uint32 { return t.nums[k] }

func (t *interned[K, V]) key(n uint32) K    { return t.vals[n-1].key }
func (t *interned[K, V]) extra(n uint32) *V { return &t.vals[n-1].extra }
