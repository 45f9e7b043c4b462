package header

import (
	"errors"
	"io"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// EightBit reports whether the header section of a message has an octet above
// 127. A message that cannot be read counts as ASCII up to where it can.
func EightBit(message io.WriterTo) bool {
	w := &eightBitWriter{}
	if _, err := message.WriteTo(w); err == nil {
		w.scan(w.rest, true)
	}
	return w.found
}

// An eightBitWriter takes a message up to the end of its header section.
type eightBitWriter struct {
	s     Scanner
	rest  []byte // content that the Scanner needs again
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

// scan reports whether nothing more is to be seen.
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
