package smtpserver

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"
)

// idSource makes unique IDs for sessions. An ID consists of the start time of
// the server, a random number and a counter, in base 32: about 17 letters and
// digits.
type idSource struct {
	prefix string
	n      *atomic.Uint64
}

func newIDSource() idSource {
	var random [4]byte
	rand.Read(random[:]) // never fails
	p := strconv.FormatInt(time.Now().Unix(), 32) + strconv.FormatUint(uint64(binary.BigEndian.Uint32(random[:])), 32)
	return idSource{prefix: p + "-", n: new(atomic.Uint64)}
}

func (i idSource) next() string { return i.prefix + strconv.FormatUint(i.n.Add(1), 32) }
