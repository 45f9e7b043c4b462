package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// idCoding encodes bytes so that the order of the texts is the order of the
// bytes.
var idCoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// ids makes message IDs of 24 characters. Their order is the order of their
// time. A counter makes them unique in this process, and 40 random bits make
// them unique between processes.
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
