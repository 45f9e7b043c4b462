package postgres

import (
	"crypto/rand"
	"encoding/binary"
)

// keys makes the keys of rows. They are different in each process, and increase, because
// indexes are faster then. It is not for concurrent use.
type keys struct {
	next uint64
}

// key returns a new key: 40 random bits, and a number of 24 bits.
func (k *keys) key() int64 {
	if k.next&(1<<24-1) == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		k.next = binary.BigEndian.Uint64(b[:])&^(1<<24-1) + 1
	}
	k.next++
	return int64(k.next - 1)
}
