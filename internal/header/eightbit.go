package header

import (
	"errors"
	"io"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// EightBit reports whether the header section of a message contains an octet
// above 127. If the message cannot be read, it reports this about the part
// before the error.
func EightBit(message io.WriterTo) bool {
	w := &eightBitWriter{}
	if _, err := message.WriteTo(w); err == nil {
		w.scan(w.rest, true)
	}
	return w.found
}

// An eightBitWriter is a Writer that examines a message up to the end of its
// header section.
type eightBitWriter struct {
	s     Scanner
	rest  []byte // content that must be passed to the Scanner again
	found bool
}

var errEnd = errors.New("the header section has ended")

func (w *eightBitWriter) Write(p []byte) (int, error) {
	b := p
	if len(w.rest) > 0 {
		b = append(w.rest, p...)
	}
	if w.scan(b, false) {
		return 0, errEnd
	}
	return len(p), nil
}

// scan reports whether the result is known.
func (w *eightBitWriter) scan(b []byte, last bool) bool {
	before := w.s.End
	done := w.s.Scan(b, last)
	n := w.s.End - before
	w.found = w.found || !chars.ASCII(b[:n])
	if done || w.found {
		return true
	}
	w.rest = append([]byte(nil), b[n:]...)
	return false
}
