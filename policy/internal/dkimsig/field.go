package dkimsig

import "strings"

// A FieldWriter writes a header field with a tag list. It folds the field at 78
// columns if possible (RFC 5322, 2.1.1).
type FieldWriter struct {
	b      strings.Builder
	column int
}

// NewFieldWriter starts a field.
func NewFieldWriter(name string) *FieldWriter {
	w := new(FieldWriter)
	w.put(name + ":")
	return w
}

func (w *FieldWriter) put(s string) {
	w.b.WriteString(s)
	w.column += len(s)
}

// fits writes a space if n more columns fit on the line, and a new line otherwise.
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

// Unsigned adds an empty b= tag and returns the field in the form to sign.
func (w *FieldWriter) Unsigned() []byte {
	w.fits(3)
	w.put("b=")
	return []byte(w.b.String() + "\r\n")
}

// Signed returns the field with its signature. Call Unsigned before.
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
