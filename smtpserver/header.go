package smtpserver

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
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

// Name of the field as it stands, without the colon.
func (f Field) Name() string { return string(f.name()) }

func (f Field) name() []byte {
	i := bytes.IndexByte(f, ':')
	if i < 0 {
		return nil
	}
	return bytes.TrimRight(f[:i], " \t") // RFC 5322, 4.5.8 allows blanks here
}

// Is says whether the field has that name, in any case of letters.
func (f Field) Is(name string) bool {
	n := f.name()
	return len(n) == len(name) && strings.EqualFold(string(n), name)
}

// Value of the field, unfolded and trimmed.
func (f Field) Value() string {
	i := bytes.IndexByte(f, ':')
	if i < 0 {
		return ""
	}
	v := bytes.Trim(f[i+1:], " \t\r\n")
	if bytes.IndexByte(v, '\n') < 0 {
		return string(v)
	}
	// RFC 5322, 2.2.3: unfolding removes the CRLF before white space.
	return strings.NewReplacer("\r\n", "", "\n", "").Replace(string(v))
}

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

// all walks over the fields.
func (h *Header) all(yield func(Field) bool) {
	for _, b := range h.blocks {
		for len(b) > 0 {
			n := fieldLen(b)
			if !yield(Field(b[:n:n])) {
				return
			}
			b = b[n:]
		}
	}
}

// fieldLen is the length of the field at the start of b, with its folding.
func fieldLen(b []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return len(b)
		}
		n += i + 1
		if n == len(b) || !isBlank(b[n]) {
			return n
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
			l := fieldLen(b[at:])
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
			l := fieldLen(b[at:])
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

// checkFields holds what is added to a header to its grammar, so that nobody
// can end the header early or add a field that was not meant.
func checkFields(raw string) ([]byte, error) {
	b := []byte(raw)
	if len(b) == 0 {
		return nil, nil
	}
	if !bytes.HasSuffix(b, crlf) {
		return nil, errors.New("smtpserver: header field does not end with CRLF")
	}
	for at, first := 0, true; at < len(b); first = false {
		n := bytes.IndexByte(b[at:], '\n') + 1
		line := b[at : at+n]
		if bytes.IndexByte(line, '\r') != n-2 || bytes.IndexByte(line, 0) >= 0 {
			return nil, fmt.Errorf("smtpserver: header line %q has a bare CR, bare LF or NUL", line)
		}
		if !isFieldLine(line, first) {
			return nil, fmt.Errorf("smtpserver: header line %q is no field", line)
		}
		at += n
	}
	return b, nil
}

var crlf = []byte("\r\n")

// isFieldLine says whether a line, with its CRLF, begins a header field or,
// unless it is the first, continues one (RFC 5322, 2.2).
func isFieldLine(line []byte, first bool) bool {
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return false
	}
	if isBlank(line[0]) {
		return !first
	}
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	if i == 0 {
		return false
	}
	for i < len(line) && isBlank(line[i]) {
		i++
	}
	return i < len(line) && line[i] == ':'
}

// headerEnd looks for the end of the header section in b, of which the first
// from bytes are known to be whole lines of it. It returns where the header
// ends and whether a blank line follows there; or, where the end is not
// there yet, done is false and end is the new from. A line that is no field
// ends the header too, without a blank line. At the end of the content (last)
// there is always an end.
func headerEnd(b []byte, from int, last bool) (end int, blank, done bool) {
	for {
		n := bytes.IndexByte(b[from:], '\n') + 1
		if n == 0 {
			return from, false, last
		}
		line := b[from : from+n]
		if len(line) == 2 && line[0] == '\r' {
			return from, true, true
		}
		if !isFieldLine(line, from == 0) {
			return from, false, true
		}
		from += n
	}
}
