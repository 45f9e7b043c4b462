package dkimsig

import (
	"bytes"
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
	name := bytes.TrimRight(field[:i], " \t")
	if bytes.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		return string(name) // no name, and no letter of it (K, U+212A) becomes one of ASCII
	}
	return strings.ToLower(string(name))
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

// Select are the fields that names (a h= tag) choose, in that order: for a name
// that comes several times, from the bottom of the header upwards; names without
// a field choose nothing (RFC 6376, 5.4.2). except is a field that is not there
// for them; nil for none.
func (h *Header) Select(names []string, except []byte) [][]byte {
	fields := make([][]byte, 0, min(len(names), len(h.Fields)))
	taken := make(map[string]int, len(names))
	for _, name := range names {
		name = strings.ToLower(name)
		at := h.byName[name]
		for n := taken[name]; n < len(at); n++ {
			taken[name] = n + 1
			f := h.Fields[at[len(at)-1-n]]
			if except == nil || &f[0] != &except[0] {
				fields = append(fields, f)
				break
			}
		}
	}
	return fields
}
