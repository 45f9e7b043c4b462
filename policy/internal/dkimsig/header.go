package dkimsig

import (
	"bytes"
	"strings"
)

// A Header has the raw fields of a message, with an index by name. It is safe for
// concurrent use.
type Header struct {
	Fields [][]byte
	byName map[string][]int // lower case; from top to bottom
}

// NewHeader returns a Header with fields. Each field ends with CRLF.
func NewHeader(fields [][]byte) *Header {
	h := &Header{Fields: fields, byName: make(map[string][]int, len(fields))}
	for i, f := range fields {
		if name := FieldName(f); name != "" { // otherwise f is not a field
			h.byName[name] = append(h.byName[name], i)
		}
	}
	return h
}

// FieldName returns the name of a field in lower case, or "" if there is no colon.
func FieldName(field []byte) string {
	i := bytes.IndexByte(field, ':')
	if i < 0 {
		return ""
	}
	name := bytes.TrimRight(field[:i], " \t")
	if bytes.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		return string(name) // not a valid name: ToLower would map K (U+212A) to ASCII
	}
	return strings.ToLower(string(name))
}

// IsNamed reports whether a field has a name. The name is in lower case. IsNamed
// avoids allocation for fields with other names.
func IsNamed(field []byte, name string) bool {
	return len(field) > len(name) && strings.EqualFold(string(field[:len(name)]), name) && FieldName(field) == name
}

// FieldBody returns the text after the colon, with folding and without the final
// CRLF.
func FieldBody(field []byte) string {
	i := bytes.IndexByte(field, ':')
	if i < 0 {
		return ""
	}
	return strings.TrimSuffix(string(field[i+1:]), "\r\n")
}

// Named returns the fields with a name (in lower case), from top to bottom.
func (h *Header) Named(name string) [][]byte {
	var fields [][]byte
	for _, i := range h.byName[name] {
		fields = append(fields, h.Fields[i])
	}
	return fields
}

// Count returns the number of fields with a name (in lower case).
func (h *Header) Count(name string) int { return len(h.byName[name]) }

// Select returns the fields that names (an h= tag) select, in the order of names. A
// name that occurs several times selects fields from the bottom of the header
// upwards. A name without a field selects nothing (RFC 6376, 5.4.2). The field
// except is never selected; it may be nil.
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
