package header

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// A Field is one raw header field: name, colon and value, with its folding and
// its line end.
type Field []byte

// Name returns the name of the field as written. It is empty if the field has
// no colon, or if a character before the colon is not allowed in a name.
func (f Field) Name() string { return string(f.name()) }

func (f Field) name() []byte {
	i := colon(f)
	if i < 0 {
		return nil
	}
	for i > 0 && isBlank(f[i-1]) { // RFC 5322, 4.5.8
		i--
	}
	return f[:i]
}

// Is reports whether the field has that name. Case is ignored.
func (f Field) Is(name string) bool {
	if len(f) <= len(name) || len(name) == 0 || f[0]|0x20 != name[0]|0x20 {
		return false
	}
	// Most fields have another name: the octet after it shows that first.
	if c := f[len(name)]; c != ':' && !isBlank(c) {
		return false
	}
	n := f.name()
	return len(n) == len(name) && strings.EqualFold(string(n), name)
}

// Value returns the unfolded value of the field, without white space at its
// ends.
func (f Field) Value() string {
	i := colon(f)
	if i < 0 {
		return ""
	}
	v := bytes.Trim(f[i+1:], " \t\r\n")
	if bytes.IndexByte(v, '\n') < 0 {
		return string(v)
	}
	return Unfold(string(v))
}

// Cut splits the field after its colon. before ends with the colon, and value
// is the rest as written, with folding and line end.
func (f Field) Cut() (before, value string) {
	i := colon(f)
	return string(f[:i+1]), string(f[i+1:])
}

// colon returns the index of the colon after the name at the start of a line,
// or -1 if the line does not begin a field.
func colon(line []byte) int {
	i, most := 0, min(len(line), maxName)
	for i < most && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	if i == 0 {
		return -1
	}
	for i < most && isBlank(line[i]) {
		i++
	}
	if i == most || line[i] != ':' {
		return -1
	}
	return i
}

// StartsField reports whether a line begins a header field: with a name of
// printable ASCII characters (RFC 5322, 2.2) and a colon. White space is
// allowed between them (RFC 5322, 4.5).
func StartsField(line []byte) bool { return colon(line) > 0 }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// Unfold removes the line ends from a value. The white space after a line end
// is part of the value (RFC 5322, 2.2.3).
func Unfold(value string) string {
	if strings.IndexByte(value, '\n') < 0 {
		return value
	}
	return strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", ""), "\n", "")
}

// Len returns the length of the field at the start of a header section: its
// first line and the folded lines after it.
func Len(section []byte) int {
	for n := 0; ; {
		i := bytes.IndexByte(section[n:], '\n')
		if i < 0 {
			return len(section)
		}
		if n += i + 1; n == len(section) || !isBlank(section[n]) {
			return n
		}
	}
}

// All returns an iterator over the fields of a header section. Lines that are
// not part of a field, which the header of a MIME part may contain, are
// returned as fields without a name.
func All(section []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for len(section) > 0 {
			n := Len(section)
			if !yield(Field(section[:n:n])) {
				return
			}
			section = section[n:]
		}
	}
}

// Get returns the unfolded value of the first field with that name in a header
// section, or "".
func Get(section []byte, name string) string {
	for f := range All(section) {
		if f.Is(name) {
			return f.Value()
		}
	}
	return ""
}

// Of returns the header section at the start of content. If cut is set, content
// is only the beginning of a message, and Of leaves out a last field that may
// be incomplete.
func Of(content []byte, cut bool) []byte {
	var s Scanner
	if s.Scan(content, !cut) {
		return content[:s.End]
	}
	whole := 0
	for f := range All(content[:s.End]) {
		if n := whole + len(f); n < s.End {
			whole = n
		}
	}
	return content[:whole]
}

// CheckName returns an error if name is not a valid name of a header field (RFC
// 5322, 2.2).
func CheckName(name string) error {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return fmt.Errorf("%.40q is not a header field name: it has %q", name, c)
		}
	}
	if name == "" || len(name) >= maxName {
		return fmt.Errorf("%.40q is not a header field name: it has %d characters", name, len(name))
	}
	return nil
}

// Check returns an error unless raw is a sequence of complete fields in which
// each line ends with CRLF and contains no other CR, LF or NUL. Such text does
// not end a header section and hides no field in it.
func Check(raw string) error {
	for at := 0; at < len(raw); {
		n := strings.IndexByte(raw[at:], '\n') + 1
		if n == 0 {
			return fmt.Errorf("header field %.60q does not end with CRLF", raw[at:])
		}
		line := raw[at : at+n]
		switch {
		case n < 2 || strings.IndexByte(line, '\r') != n-2 || strings.IndexByte(line, 0) >= 0:
			return fmt.Errorf("header line %.60q has a bare CR, bare LF or NUL", line)
		case n < 3, at == 0 && isBlank(line[0]), !isBlank(line[0]) && !StartsField([]byte(line)):
			return fmt.Errorf("header line %.60q is not a field", line)
		}
		at += n
	}
	return nil
}
