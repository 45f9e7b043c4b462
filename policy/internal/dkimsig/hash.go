package dkimsig

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// A HeaderHash is the SHA-256 over canonical fields.
type HeaderHash struct {
	canon Canon
	h     hash.Hash
	buf   []byte
}

// NewHeaderHash begins a hash.
func NewHeaderHash(c Canon) *HeaderHash { return &HeaderHash{canon: c, h: sha256.New()} }

// Add hashes one field.
func (hh *HeaderHash) Add(field []byte) {
	hh.buf = hh.canon.appendField(hh.buf[:0], field)
	hh.h.Write(hh.buf)
}

// AddAll hashes several fields, as Header.Select gives them.
func (hh *HeaderHash) AddAll(fields [][]byte) {
	for _, f := range fields {
		hh.Add(f)
	}
}

// Sum ends with the field that holds the signature, from which the b= value
// has been taken, without its CRLF.
func (hh *HeaderHash) Sum(signature []byte) []byte {
	hh.buf = hh.canon.appendField(hh.buf[:0], signature)
	hh.h.Write(bytes.TrimRight(hh.buf, "\r\n"))
	return hh.h.Sum(nil)
}

// WithoutValue is the field with the value between start and end, as
// positions in FieldBody, cut out.
func WithoutValue(field []byte, start, end int) []byte {
	colon := bytes.IndexByte(field, ':') + 1
	cut := make([]byte, 0, len(field))
	cut = append(cut, field[:colon+start]...)
	return append(cut, field[colon+end:]...)
}
