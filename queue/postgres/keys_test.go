package postgres

import "testing"

func TestKeys(t *testing.T) {
	var k keys
	seen := map[int64]bool{}
	for range 1 << 18 {
		seen[k.key()] = true
	}
	prefix := k.next >> 24
	k.next |= 1<<24 - 1
	seen[k.key()], seen[k.key()] = true, true
	if len(seen) != 1<<18+2 || k.next>>24 == prefix {
		t.Errorf("%d keys of %d are different, the prefix is %x after %x", len(seen), 1<<18+2, k.next>>24, prefix)
	}
}
