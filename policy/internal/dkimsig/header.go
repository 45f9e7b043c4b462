package dkimsig

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"strings"
)

// A Header is a message's fields, raw and in order, found by name. It may be
// used by several goroutines once it is made.
type Header struct {
	Fields [][]byte
	byName map[string][]int // lower case; from top to bottom
}

// NewHeader makes an index of fields, each with its CRLF.
func NewHeader(fields [][]byte) *Header {
	h := &Header{Fields: fields, byName: make(map[string][]int, len(fields))}
	for i, f := range fields {
		if name := FieldName(f); name != "" { // else no field, and nothing names it
			h.byName[name] = append(h.byName[name], i)
		}
	}
	return h
}

// FieldName is a field's name in lower case.
func FieldName(field []byte) string {
	i := bytes.IndexByte(field, ':')
	if i < 0 {
		return ""
	}
	return strings.ToLower(string(bytes.TrimRight(field[:i], " \t")))
}

// IsNamed says whether a field has that name (lower case), without making a
// string.
func IsNamed(field []byte, name string) bool {
	return len(field) > len(name) && strings.EqualFold(string(field[:len(name)]), name) && FieldName(field) == name
}

// FieldBody is what follows the colon, with its folding, without the CRLF at
// its end.
func FieldBody(field []byte) string {
	i := bytes.IndexByte(field, ':')
	if i < 0 {
		return ""
	}
	return strings.TrimSuffix(string(field[i+1:]), "\r\n")
}

// Named are the fields of that name (lower case), from top to bottom.
func (h *Header) Named(name string) [][]byte {
	var fields [][]byte
	for _, i := range h.byName[name] {
		fields = append(fields, h.Fields[i])
	}
	return fields
}

// Count is the number of fields of that name (lower case).
func (h *Header) Count(name string) int { return len(h.byName[name]) }

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

// AddNames hashes the fields that names (a h= tag) choose: for a name that
// comes several times, from the bottom of the header upwards; names without a
// field count for nothing (RFC 6376, 5.4.2).
func (hh *HeaderHash) AddNames(h *Header, names []string) {
	taken := make(map[string]int, len(names))
	for _, name := range names {
		name = strings.ToLower(name)
		at := h.byName[name]
		if n := taken[name]; n < len(at) {
			taken[name] = n + 1
			hh.Add(h.Fields[at[len(at)-1-n]])
		}
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
