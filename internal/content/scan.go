package content

import (
	"errors"
	"io"
)

// EightBit says whether a message has an octet above 127. One that cannot be
// read counts as 7-bit: reading it again will tell.
func EightBit(c io.WriterTo) bool {
	s := &scanner{}
	c.WriteTo(s)
	return s.found
}

// scanner is a Writer that looks for 8-bit octets and stops at the first.
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

// IsText says whether a message can go by DATA unchanged (RFC 5322, 2.1.1 and
// 2.3): each CR and LF is part of a CRLF, no line has more than 998 octets,
// and there is no NUL. One that cannot be read counts as text: reading it again
// will tell.
func IsText(c io.WriterTo) bool {
	s := &textScanner{}
	c.WriteTo(s)
	return !s.binary && !s.cr
}

// textScanner is a Writer that looks for what no text has.
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
