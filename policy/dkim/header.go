package dkim

import (
	"bytes"
	"fmt"
)

// Bounds on what go-msgauth is asked to do. Its time grows with the square of
// each of these; within them a signature costs a few milliseconds at most.
const (
	// maxNames in h=: each is looked for in the whole header.
	maxNames = 256
	// maxFolding is the sum, over the fields to sign in the simple form, of
	// copying is what it costs to put a field together: lines times octets.: a field is put together line by line, and all of it
	// copied each time. A To field of 1,000 lines and 64 KiB is just within it.
	maxFolding = 64 << 20
)

// A limitError says that a message is beyond those bounds.
type limitError string

func (e limitError) Error() string { return string(e) }

// section makes the header section that go-msgauth works on: of the message's
// fields only those that count for a signature, with the blank line. They come
// in the order of h=, and go-msgauth takes instances of a name from the bottom
// upwards (RFC 6376, 5.4.2), so they stand the other way round, below top, the
// signature that is checked, if there is one.
//
// In the relaxed form folding is white space like any other (RFC 6376, 3.4.2),
// so there each field is one line: go-msgauth's time grows with the square of
// a field's lines.
func section(top []byte, fields [][]byte, relaxed bool) ([]byte, error) {
	size, folding := len(top)+4, copying(top)
	for _, f := range fields {
		size += len(f)
		folding += copying(f)
	}
	if !relaxed && folding > maxFolding {
		return nil, limitError("the signed fields are folded into too many lines")
	}
	text := make([]byte, 0, size)
	if len(top) > 0 {
		text = appendField(text, top, relaxed)
	}
	for i := len(fields) - 1; i >= 0; i-- {
		text = appendField(text, fields[i], relaxed)
	}
	return append(text, "\r\n"...), nil
}

// copying is what it costs to put a field together: lines times octets.
func copying(f []byte) int64 { return int64(bytes.Count(f, []byte{'\n'})) * int64(len(f)) }

func appendField(text, field []byte, unfold bool) []byte {
	at := len(text)
	text = append(text, field...)
	if !bytes.HasSuffix(field, []byte{'\n'}) { // the message ends within it
		text = append(text, "\r\n"...)
	}
	if !unfold {
		return text
	}
	for i, b := range bytes.TrimRight(text[at:], "\r\n") {
		if b == '\r' || b == '\n' {
			text[at+i] = ' '
		}
	}
	return text
}

// checkName says what keeps a name from being that of a header field (RFC
// 5322, 2.2).
func checkName(name string) error {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' || c == ';' {
			return fmt.Errorf("%q is no name of a header field", name)
		}
	}
	return nil
}
