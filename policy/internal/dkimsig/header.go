package dkimsig

import (
	"bytes"
	"strings"
)

// A Header has the raw fields of a message, with an index by name. It is safe for
// concurrent use.
type Header struct {
	Fields [][]byte
	byName map[string]list // the names are in lower case
	above  []int           // of each field, the next field above it with the same name, or -1
}

// A list is the n fields of one name, linked by Header.above.
type list struct{ lowest, n int }

// NewHeader returns a Header with fields. Each field ends with CRLF.
func NewHeader(fields [][]byte) *Header {
	h := &Header{Fields: fields, byName: make(map[string]list, len(fields)), above: make([]int, len(fields))}
	all := make([]byte, 0, 16*len(fields)) // the names, in one string
	for _, f := range fields {
		all = appendName(all, f)
	}
	names := string(all)
	for i, f := range fields {
		h.above[i] = -1
		n := nameLen(f)
		if n == 0 {
			continue // not a field
		}
		name := names[:n]
		names = names[n:]
		l, found := h.byName[name]
		if found {
			h.above[i] = l.lowest
		}
		h.byName[name] = list{i, l.n + 1}
	}
	return h
}

// FieldName returns the name of a field in lower case, or "" if there is no colon.
func FieldName(field []byte) string { return string(appendName(nil, field)) }

// appendName appends the name of a field to b, in lower case. Only ASCII letters
// change, because other characters are not valid in names: strings.ToLower would
// map the Kelvin sign (U+212A) to ASCII.
func appendName(b, field []byte) []byte {
	name := field[:nameLen(field)]
	at := len(b)
	b = append(b, name...)
	for k, c := range name {
		switch {
		case c >= 0x80:
			copy(b[at:], name)
			return b
		case 'A' <= c && c <= 'Z':
			b[at+k] = c | 0x20
		}
	}
	return b
}

// nameLen returns the length of a field's name, or 0 if there is no colon.
func nameLen(field []byte) int {
	n := max(bytes.IndexByte(field, ':'), 0)
	for n > 0 && (field[n-1] == ' ' || field[n-1] == '\t') {
		n--
	}
	return n
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
	l := h.byName[name]
	if l.n == 0 {
		return nil
	}
	fields := make([][]byte, l.n)
	for i, at := l.lowest, l.n-1; at >= 0; i, at = h.above[i], at-1 {
		fields[at] = h.Fields[i]
	}
	return fields
}

// Count returns the number of fields with a name (in lower case).
func (h *Header) Count(name string) int { return h.byName[name].n }

// Select returns the fields that names (an h= tag) select, in the order of names. A
// name that occurs several times selects fields from the bottom of the header
// upwards. A name without a field selects nothing (RFC 6376, 5.4.2). The field
// except is never selected; it may be nil.
func (h *Header) Select(names []string, except []byte) [][]byte {
	fields := make([][]byte, 0, min(len(names), len(h.Fields)))
	// For the lowest field of a name: how many of the name's fields are taken, and
	// the next one to take.
	type cursor struct{ taken, next int }
	cursors := make([]cursor, len(h.Fields))
	for _, name := range names {
		l, found := h.byName[strings.ToLower(name)]
		if !found {
			continue
		}
		c := &cursors[l.lowest]
		if c.taken == 0 {
			c.next = l.lowest
		}
		for c.taken < l.n {
			f := h.Fields[c.next]
			c.taken, c.next = c.taken+1, h.above[c.next]
			if except == nil || &f[0] != &except[0] {
				fields = append(fields, f)
				break
			}
		}
	}
	return fields
}
