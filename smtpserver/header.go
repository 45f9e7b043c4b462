package smtpserver

import (
	"fmt"
	"iter"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Header is the header of a message: a sequence of raw fields with their
// folding and line ends, byte for byte as received. The zero value is an empty
// header.
type Header struct {
	// Each block contains one or more whole fields. Changes add and split
	// blocks, so that unchanged fields are never copied. A header to which
	// fields are only added is never split into its fields.
	blocks [][]byte
}

// A Field is one raw header field: "Name: value" with its folding and the CRLF
// at its end.
type Field []byte

// Name returns the name of the field as written, without the colon.
func (f Field) Name() string { return header.Field(f).Name() }

// Is reports whether the field has that name. Case is ignored.
func (f Field) Is(name string) bool { return header.Field(f).Is(name) }

// Value returns the unfolded value of the field, without white space at its
// ends.
func (f Field) Value() string { return header.Field(f).Value() }

// Get returns the unfolded value of the first field with that name, or "". Case
// is ignored.
func (h *Header) Get(name string) string {
	for f := range h.all {
		if f.Is(name) {
			return f.Value()
		}
	}
	return ""
}

// Values returns the unfolded values of all fields with that name. Case is
// ignored.
func (h *Header) Values(name string) []string {
	var vs []string
	for f := range h.all {
		if f.Is(name) {
			vs = append(vs, f.Value())
		}
	}
	return vs
}

// Count returns the number of fields with that name. Case is ignored.
func (h *Header) Count(name string) int {
	n := 0
	for f := range h.all {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// Fields returns all fields in order. They share memory with the header and
// must not be changed.
func (h *Header) Fields() []Field {
	fs := make([]Field, 0, 16) // most headers have fewer
	for f := range h.all {
		fs = append(fs, f)
	}
	return fs
}

// All returns an iterator over the fields in order. They share memory with the
// header and must not be changed.
func (h *Header) All() iter.Seq[Field] { return h.all }

func (h *Header) all(yield func(Field) bool) {
	for _, b := range h.blocks {
		for f := range header.All(b) {
			if !yield(Field(f)) {
				return
			}
		}
	}
}

// Prepend adds raw fields ("Name: value\r\n", folded if long) before all
// others. It returns an error and changes nothing if raw is malformed.
func (h *Header) Prepend(raw string) error {
	b, err := checkFields(raw)
	if err == nil && len(b) > 0 {
		h.blocks = append([][]byte{b}, h.blocks...)
	}
	return err
}

// Append adds raw fields after all others. It returns an error and changes
// nothing if raw is malformed.
func (h *Header) Append(raw string) error {
	b, err := checkFields(raw)
	if err == nil && len(b) > 0 {
		h.blocks = append(h.blocks[:len(h.blocks):len(h.blocks)], b)
	}
	return err
}

// Delete removes the fields for which del returns true, and returns their
// number.
func (h *Header) Delete(del func(Field) bool) int {
	var kept [][]byte
	n := 0
	for _, b := range h.blocks {
		start, at := 0, 0
		for at < len(b) {
			l := header.Len(b[at:])
			if del(Field(b[at : at+l : at+l])) {
				n++
				if at > start {
					kept = append(kept, b[start:at])
				}
				start = at + l
			}
			at += l
		}
		if at > start {
			kept = append(kept, b[start:at])
		}
	}
	if n > 0 {
		h.blocks = kept
	}
	return n
}

// Replace calls f for each field. If f returns true, Replace replaces the field
// by the raw fields that f returns, or removes it if raw is empty. Other fields
// do not change. If the result of a call is malformed, Replace returns an error
// and changes nothing.
func (h *Header) Replace(f func(Field) (raw string, replace bool)) error {
	var blocks [][]byte
	changed := false
	for _, b := range h.blocks {
		start, at := 0, 0
		for at < len(b) {
			l := header.Len(b[at:])
			if raw, replace := f(Field(b[at : at+l : at+l])); replace {
				fields, err := checkFields(raw)
				if err != nil {
					return err
				}
				if at > start {
					blocks = append(blocks, b[start:at])
				}
				if len(fields) > 0 {
					blocks = append(blocks, fields)
				}
				start, changed = at+l, true
			}
			at += l
		}
		if at > start {
			blocks = append(blocks, b[start:at])
		}
	}
	if changed {
		h.blocks = blocks
	}
	return nil
}

// Size returns the size of the header in bytes, without the blank line after
// it.
func (h *Header) Size() int64 {
	var n int64
	for _, b := range h.blocks {
		n += int64(len(b))
	}
	return n
}

// checkFields returns raw fields as a block. It returns an error if raw could
// end the header early, or if a field could be read as two.
func checkFields(raw string) ([]byte, error) {
	if err := header.Check(raw); err != nil {
		return nil, fmt.Errorf("smtpserver: %w", err)
	}
	return []byte(raw), nil
}
