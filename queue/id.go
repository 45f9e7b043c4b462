package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// idCoding keeps the order of the bytes it encodes.
var idCoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// ids makes message IDs: 24 characters, in the order of their time, unique in
// this process by a count and against other processes by 40 random bits.
type ids struct {
	process [5]byte
	count   atomic.Uint32
}

func (g *ids) init() {
	rand.Read(g.process[:]) // never fails (Go 1.24)
}

func (g *ids) next(now time.Time) string {
	var b [15]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16) // 6 bytes
	binary.BigEndian.PutUint32(b[6:10], g.count.Add(1))
	copy(b[10:], g.process[:])
	var s [24]byte
	idCoding.Encode(s[:], b[:])
	return string(s[:])
}
