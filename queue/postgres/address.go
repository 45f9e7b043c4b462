package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An addressHash hashes addresses for searches. It is the secret seed of the
// database. Strangers choose addresses, so they must not be able to find two with the
// same hash.
type addressHash [16]byte

// of returns the hash of an address. Its upper 32 bits are the hash of the domain, so
// that the database can count by domain. Its lower 32 bits are the hash of the whole
// address. The null reverse-path is an address, too.
func (h addressHash) of(address string) int64 {
	return int64(h.domain(queue.AddressDomain(address)))<<32 | int64(h.sum('a', strings.ToLower(address)))
}

// domain returns the hash of a domain in lower case.
func (h addressHash) domain(name string) uint32 { return h.sum('d', name) }

// sum returns 32 bits of a hash of text. kind separates the kinds of texts.
func (h addressHash) sum(kind byte, text string) uint32 {
	b := make([]byte, 0, 128)
	b = append(append(append(b, h[:]...), kind), text...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint32(sum[:])
}

// recipients returns the hashes of the addresses by which a message is found: of
// those that wait, or of all if none waits (see queue.Searcher). The order is that of
// the recipients, and an address that occurs twice has two hashes. The result is not
// nil.
func (h addressHash) recipients(rs []*queue.Recipient) []int64 {
	hashes := make([]int64, 0, len(rs))
	for _, r := range rs {
		if r.Status == queue.Waiting {
			hashes = append(hashes, h.of(r.Addr))
		}
	}
	if len(hashes) == 0 {
		for _, r := range rs {
			hashes = append(hashes, h.of(r.Addr))
		}
	}
	return hashes
}
