package content

import (
	"errors"
	"io"
)

// EightBit reports whether a message contains an octet above 127. If the
// message cannot be read, the result is false; the next read returns the error.
func EightBit(c io.WriterTo) bool {
	s := &scanner{}
	c.WriteTo(s)
	return s.found
}

// scanner is a Writer that finds the first octet above 127 and stops there.
type scanner struct{ found bool }

var errScanned = errors.New("seen enough")

func (s *scanner) Write(p []byte) (int, error) {
	for _, c := range p {
		if c >= 0x80 {
			s.found = true
			return 0, errScanned
		}
	}
	return len(p), nil
}

// IsText reports whether DATA can transport a message unchanged (RFC 5322,
// 2.1.1 and 2.3): each CR and LF is part of a CRLF, no line has more than 998
// octets, and there is no NUL. If the message cannot be read, the result is
// true unless a violation was found before the error; the next read returns the
// error.
func IsText(c io.WriterTo) bool {
	s := &textScanner{}
	c.WriteTo(s)
	return !s.binary && !s.cr
}

// textScanner is a Writer that finds the first violation of IsText.
type textScanner struct {
	binary bool
	line   int  // octets in this line
	cr     bool // the last octet was CR
}

func (s *textScanner) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case s.cr != (c == '\n'), c == 0:
			s.binary = true
		case c == '\n':
			s.line, s.cr = 0, false
			continue
		case c == '\r':
			s.cr = true
			continue
		}
		if s.line++; s.binary || s.line > 998 {
			s.binary = true
			return 0, errScanned
		}
	}
	return len(p), nil
}
