package smtpserver

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// BareBytes selects whether the server refuses or repairs a message that
// contains a bare CR or LF (one that is not part of CRLF), or a NUL. RFC 5321,
// 2.3.8 forbids bare CR and LF. Attackers use them to smuggle messages: the
// next server may see an end of data where this server sees only text.
type BareBytes uint8

const (
	// BareRefuse refuses the message with 550 5.6.11. After DATA it also closes
	// the connection. Client and server may disagree about the end of the data,
	// and then the server would read text as commands.
	BareRefuse BareBytes = iota
	// BareNormalize replaces a bare LF with CRLF, and removes bare CRs and
	// NULs. Only CRLF.CRLF ends the data. It is meant for old clients in
	// known networks.
	BareNormalize
)

// textState is the position of a textReader in the text.
type textState uint8

const (
	lineStart textState = iota // after CRLF, and at the start
	inLine
	afterCR    // CR within a line
	afterDot   // after a dot at the start of a line
	afterDotCR // after dot and CR at the start of a line: LF now ends the data
)

// textReader removes dot-stuffing and finds bare CR, LF and NUL, and long
// lines. Only CRLF.CRLF ends the data (RFC 5321, 4.1.1.4 and 4.5.2). A bare LF
// or CR never starts a line. The only exception is readBareLF.
type textReader struct {
	state   textState
	dots    bool  // DATA: dot-stuffed, ends with CRLF.CRLF; false for BDAT
	binary  bool  // BINARYMIME: any bytes
	fix     bool  // BareNormalize
	bareLF  *bool // lfOnly of the session, see readBareLF; nil means false
	sawLF   bool  // a bare LF was the end of a line
	maxLine int
	line    int  // length of the line so far
	bare    byte // the first bare byte, where hasBare
	hasBare bool
	long    bool // a line was too long
	last    bool // the next put is probably the last one
}

// A sink receives the text of a message in pieces.
type sink interface {
	put(p []byte)
}

// discardText is a sink that drops the text.
type discardText struct{}

func (discardText) put([]byte) {}

// read reads input and puts its text to the sink, in as few pieces as possible.
// n is the number of bytes that were read: all of p, or those up to the end of
// data.
func (t *textReader) read(p []byte, to sink) (n int, end bool) {
	if t.binary {
		to.put(p)
		return len(p), false
	}
	if t.bareLF != nil && *t.bareLF {
		return t.readBareLF(p, to)
	}
	if t.fix {
		return t.readSlow(p, to)
	}
	from := 0 // p[from:i] is not yet put
	i := 0
	for i < len(p) {
		switch t.state {
		case lineStart:
			t.line = 0
			if p[i] == '.' && t.dots {
				if i > from {
					t.last = bytes.HasPrefix(p[i+1:], crlf)
					to.put(p[from:i])
				}
				i++
				from = i
				t.state = afterDot
				continue
			}
			t.state = inLine
			fallthrough
		case inLine:
			i += t.skipText(p[i:])
		case afterCR:
			t.state = inLine
			if p[i] == '\n' {
				t.count(1)
				i++
				t.state = lineStart
			} else {
				t.found('\r')
			}
		case afterDot:
			t.state = inLine // the dot was stuffed
			if p[i] == '\r' {
				i++
				from = i // if this is not the end of data, the CR is bare and the message is refused
				t.state = afterDotCR
			}
		case afterDotCR:
			if p[i] == '\n' {
				return i + 1, true
			}
			t.found('\r')
			t.state = inLine
		}
	}
	if i > from {
		to.put(p[from:i])
	}
	return i, false
}

// skipText skips text up to and including the next control character, or to the
// end of p.
func (t *textReader) skipText(p []byte) int {
	n := indexControl(p) + 1
	if n == 0 {
		t.count(len(p))
		return len(p)
	}
	switch c := p[n-1]; c {
	case '\r':
		t.state = afterCR
		if n < len(p) && p[n] == '\n' { // by far the most frequent case
			n++
			t.state = lineStart
		}
	case '\n', 0:
		t.found(c)
	}
	t.count(n)
	return n
}

// indexControl returns the index of the first byte below 0x20, or -1. It tests
// eight bytes at once, and 32 bytes at once in long text. In x-0x20, the high
// bit of a byte is set if the byte was below 0x20 or, because of a borrow, if a
// lower byte was. The lowest such bit is therefore correct. Bytes whose high
// bit was already set are excluded.
func indexControl(p []byte) int {
	const spaces, high = 0x2020202020202020, 0x8080808080808080
	i := 0
	for len(p)-i >= 32 {
		q := p[i : i+32 : i+32]
		x, y := binary.LittleEndian.Uint64(q), binary.LittleEndian.Uint64(q[8:])
		z, w := binary.LittleEndian.Uint64(q[16:]), binary.LittleEndian.Uint64(q[24:])
		if ((x-spaces)&^x|(y-spaces)&^y|(z-spaces)&^z|(w-spaces)&^w)&high != 0 {
			break
		}
		i += 32
	}
	for ; i+8 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		if m := (x - spaces) &^ x & high; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(p); i++ {
		if p[i] < ' ' {
			return i
		}
	}
	return -1
}

// readSlow reads byte by byte and repairs bare CR, LF and NUL.
func (t *textReader) readSlow(p []byte, to sink) (n int, end bool) {
	out := make([]byte, 0, len(p)+len(p)/8+16)
	for i, c := range p {
		switch {
		case t.state == afterDotCR && c == '\n':
			to.put(out)
			return i + 1, true
		case t.state == lineStart && c == '.' && t.dots:
			t.state = afterDot
			continue
		case t.state == afterDot && c == '\r':
			t.state = afterDotCR
			continue
		case c == '\r': // added together with its LF
			t.state = afterCR
			continue
		case c == 0: // a CR before it is bare
			t.state = inLine
			continue
		case c == '\n' && t.state == afterCR:
			out = append(out, '\r', '\n')
			t.count(2)
			t.state, t.line = lineStart, 0
		case c == '\n': // bare: it ends a line, but a dot after it is not dot-stuffed
			out = append(out, '\r', '\n')
			t.count(2)
			t.state, t.line = inLine, 0
		default:
			out = append(out, c)
			t.count(1)
			t.state = inLine
		}
	}
	to.put(out)
	return len(p), false
}

func (t *textReader) count(n int) {
	t.line += n
	if t.line > t.maxLine {
		t.long = true
	}
}

func (t *textReader) found(c byte) {
	if !t.hasBare {
		t.bare, t.hasBare = c, true
	}
}

// finish records a bare CR at the end of the text, which is possible with BDAT.
func (t *textReader) finish() {
	if t.state == afterCR && !t.fix {
		t.found('\r')
	}
}
