package smtpserver

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Header is a message's header section: raw fields, byte for byte as they
// came, each with its folding and its line end. The zero value is empty.
type Header struct {
	// blocks are runs of whole fields. Editing adds and cuts blocks, so that
	// what is not touched is never copied, and a header that is only added to
	// is never split into its fields.
	blocks [][]byte
}

// A Field is one header field, "Name: value" with folding and CRLF at its end.
type Field []byte

// Name is the field's name as written, without the colon.
func (f Field) Name() string { return header.Field(f).Name() }

// Is reports whether the field has that name. Case does not matter.
func (f Field) Is(name string) bool { return header.Field(f).Is(name) }

// Value is the field's value, unfolded, without white space around it.
func (f Field) Value() string { return header.Field(f).Value() }

// Get is the unfolded value of the first field of that name, or "".
func (h *Header) Get(name string) string {
	for f := range h.all {
		if f.Is(name) {
			return f.Value()
		}
	}
	return ""
}

// Values are the unfolded values of all fields of that name.
func (h *Header) Values(name string) []string {
	var vs []string
	for f := range h.all {
		if f.Is(name) {
			vs = append(vs, f.Value())
		}
	}
	return vs
}

// Count is the number of fields of that name.
func (h *Header) Count(name string) int {
	n := 0
	for f := range h.all {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// Fields are all fields in order. Not to be changed.
func (h *Header) Fields() []Field {
	var fs []Field
	for f := range h.all {
		fs = append(fs, f)
	}
	return fs
}

// all goes through the fields.
func (h *Header) all(yield func(Field) bool) {
	for _, b := range h.blocks {
		for f := range header.All(b) {
			if !yield(Field(f)) {
				return
			}
		}
	}
}

// Prepend puts raw fields ("Name: value\r\n", folded where they are long)
// before all others. What is not well-formed is refused and changes nothing.
func (h *Header) Prepend(raw string) error {
	b, err := checkFields(raw)
	if err == nil && len(b) > 0 {
		h.blocks = append([][]byte{b}, h.blocks...)
	}
	return err
}

// Append puts raw fields after all others, as Prepend does before them.
func (h *Header) Append(raw string) error {
	b, err := checkFields(raw)
	if err == nil && len(b) > 0 {
		h.blocks = append(h.blocks[:len(h.blocks):len(h.blocks)], b)
	}
	return err
}

// Delete removes the fields for which del is true and returns their number.
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

// Replace puts the raw fields that f returns in the place of each field for
// which it says so; "" removes the field. What f leaves alone stays as it is,
// byte for byte. What is not well-formed is refused and changes nothing.
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

// Size in bytes.
func (h *Header) Size() int64 {
	var n int64
	for _, b := range h.blocks {
		n += int64(len(b))
	}
	return n
}

// checkFields makes a block of raw fields, of which none may end the header
// early or be two.
func checkFields(raw string) ([]byte, error) {
	if err := header.Check(raw); err != nil {
		return nil, fmt.Errorf("smtpserver: %w", err)
	}
	return []byte(raw), nil
}
