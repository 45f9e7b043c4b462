package dkimsig

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// A HeaderHash computes the SHA-256 hash of header fields in canonical form.
type HeaderHash struct {
	canon Canon
	h     hash.Hash
	buf   []byte
}

// NewHeaderHash returns a HeaderHash for a canonical form.
func NewHeaderHash(c Canon) *HeaderHash { return &HeaderHash{canon: c, h: sha256.New()} }

// Add adds one field.
func (hh *HeaderHash) Add(field []byte) {
	hh.buf = hh.canon.appendField(hh.buf[:0], field)
	hh.h.Write(hh.buf)
}

// AddAll adds several fields, as Header.Select returns them.
func (hh *HeaderHash) AddAll(fields [][]byte) {
	for _, f := range fields {
		hh.Add(f)
	}
}

// Sum adds the signature field and returns the hash. The field has an empty b= tag
// (see WithoutValue); its final CRLF is not hashed.
func (hh *HeaderHash) Sum(signature []byte) []byte {
	hh.buf = hh.canon.appendField(hh.buf[:0], signature)
	hh.h.Write(bytes.TrimRight(hh.buf, "\r\n"))
	return hh.h.Sum(nil)
}

// WithoutValue returns the field without the text between start and end, which are
// positions in FieldBody.
func WithoutValue(field []byte, start, end int) []byte {
	colon := bytes.IndexByte(field, ':') + 1
	cut := make([]byte, 0, len(field))
	cut = append(cut, field[:colon+start]...)
	return append(cut, field[colon+end:]...)
}
