package content

import (
	"bytes"
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

// HeaderEightBit says so of its header section.
func HeaderEightBit(c io.WriterTo) bool {
	s := &scanner{headerOnly: true}
	c.WriteTo(s)
	return s.found
}

// scanner is a Writer that looks for 8-bit octets and stops at the first, or
// at the end of the header.
type scanner struct {
	headerOnly bool
	found      bool
	tail       []byte // up to 3 octets before this piece
}

var errScanned = errors.New("seen enough")

func (s *scanner) Write(p []byte) (int, error) {
	part, end := p, false
	if s.headerOnly {
		joined := append(s.tail, p...)
		if i := bytes.Index(joined, []byte("\r\n\r\n")); i >= 0 {
			part, end = joined[:i], true
		}
		s.tail = bytes.Clone(joined[max(0, len(joined)-3):])
	}
	for _, c := range part {
		if c >= 0x80 {
			s.found = true
			return 0, errScanned
		}
	}
	if end {
		return 0, errScanned
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
