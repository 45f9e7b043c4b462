package dkimsig

import "strings"

// A FieldWriter writes a field of tags, folded at 78 columns where that is
// possible (RFC 5322, 2.1.1).
type FieldWriter struct {
	b      strings.Builder
	column int
}

// NewFieldWriter begins a field.
func NewFieldWriter(name string) *FieldWriter {
	w := new(FieldWriter)
	w.put(name + ":")
	return w
}

func (w *FieldWriter) put(s string) {
	w.b.WriteString(s)
	w.column += len(s)
}

// fits makes room for n columns: a space where they fit, a new line where not.
func (w *FieldWriter) fits(n int) {
	if w.column+1+n > 78 {
		w.b.WriteString("\r\n\t")
		w.column = 8
		return
	}
	w.put(" ")
}

// Tag writes one tag and its semicolon.
func (w *FieldWriter) Tag(name, value string) {
	s := name + "=" + value + ";"
	w.fits(len(s))
	w.put(s)
}

// List writes a tag whose value may be folded at its colons.
func (w *FieldWriter) List(name string, values []string) {
	s := name + "=" + values[0]
	w.fits(len(s) + 1)
	w.put(s)
	for _, v := range values[1:] {
		w.put(":")
		if w.column+len(v)+1 > 78 {
			w.b.WriteString("\r\n\t")
			w.column = 8
		}
		w.put(v)
	}
	w.put(";")
}

// Unsigned ends the field with an empty b= tag: this is what is signed.
func (w *FieldWriter) Unsigned() []byte {
	w.fits(3)
	w.put("b=")
	return []byte(w.b.String() + "\r\n")
}

// Signed is the field with its signature, after Unsigned.
func (w *FieldWriter) Signed(signature string) string {
	for len(signature) > 0 {
		n := min(len(signature), 78-w.column)
		if n <= 0 {
			w.b.WriteString("\r\n\t")
			w.column = 8
			continue
		}
		w.put(signature[:n])
		signature = signature[n:]
	}
	return w.b.String() + "\r\n"
}
