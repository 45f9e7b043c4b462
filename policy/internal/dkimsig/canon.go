package dkimsig

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// A Canon is a canonicalization algorithm (RFC 6376, 3.4).
type Canon uint8

const (
	Simple Canon = iota
	Relaxed
)

// String returns the name of the form in a c= tag.
func (c Canon) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// ParseCanon parses a c= tag, "header/body" (RFC 6376, 3.5). Without "/body" the
// form of the body is simple. If s is empty, both forms are simple.
func ParseCanon(s string) (header, body Canon, err error) {
	if s == "" {
		return Simple, Simple, nil
	}
	h, b, both := strings.Cut(s, "/")
	if header, err = parseOne(h); err == nil && both {
		body, err = parseOne(b)
	}
	return header, body, err
}

func parseOne(s string) (Canon, error) {
	switch s {
	case "simple":
		return Simple, nil
	case "relaxed":
		return Relaxed, nil
	}
	return 0, fmt.Errorf("unknown canonicalization %q", s)
}

// appendField appends the canonical form of a header field, CRLF included.
func (c Canon) appendField(dst, field []byte) []byte {
	if c == Simple {
		return append(dst, field...)
	}
	dst = slices.Grow(dst, len(field)+len(":\r\n"))
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		colon = len(field)
	}
	for _, b := range bytes.TrimRight(field[:colon], " \t\r\n") {
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		dst = append(dst, b)
	}
	dst = append(dst, ':')
	gap, begun := false, false
	for _, b := range field[min(colon+1, len(field)):] {
		if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
			gap = true
			continue
		}
		if gap && begun {
			dst = append(dst, ' ')
		}
		gap, begun = false, true
		dst = append(dst, b)
	}
	return append(dst, "\r\n"...)
}

// A BodyHash computes the SHA-256 hash of the canonical form of a body. Its memory
// does not depend on the size of the body.
type BodyHash struct {
	canon Canon
	h     hash.Hash
	begun bool // something has been hashed

	crlfs int  // pending line ends: they are hashed if more text follows
	cr    bool // a pending CR: it may be the first half of a line end
	blank bool // pending white space: it is hashed if more text follows on the line

	buf  [4096]byte // small pieces: hashing each word takes twice as long
	used int        // of buf
}

// NewBodyHash returns a BodyHash for a canonical form.
func NewBodyHash(c Canon) *BodyHash { return &BodyHash{canon: c, h: sha256.New()} }

// Write adds the next piece of the body. It never returns an error.
func (b *BodyHash) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		piece := p
		if b.canon == Relaxed && len(p) > maxPiece {
			piece = p[:maxPiece]
			if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
				piece = piece[:i+1]
			}
		}
		p = p[len(piece):]
		b.write(piece)
	}
	return n, nil
}

// maxPiece is the size of the pieces that are examined for the relaxed form. A piece
// that is not in this form costs more than one that is.
const maxPiece = 1 << 10

func (b *BodyHash) write(p []byte) {
	if b.cr {
		b.cr = false
		if p[0] == '\n' {
			b.crlfs, b.blank = b.crlfs+1, false
			p = p[1:]
		} else {
			b.emit(lines[:1])
		}
	}
	if b.canon == Relaxed {
		b.relaxed(p)
	} else {
		b.simple(p)
	}
}

func (b *BodyHash) simple(p []byte) {
	end := len(p)
	if end > 0 && p[end-1] == '\r' {
		b.cr = true
		end--
	}
	crlfs := 0
	for end >= 2 && p[end-2] == '\r' && p[end-1] == '\n' {
		crlfs++
		end -= 2
	}
	if end > 0 {
		b.emit(p[:end])
	}
	b.crlfs += crlfs
}

func (b *BodyHash) relaxed(p []byte) {
	text := bytes.TrimRight(p, blanks)
	if len(text) > 0 && !(b.blank && text[0] <= ' ') && isRelaxed(text) {
		b.emit(text)
		p = p[len(text):]
	}
	b.words(p)
}

const blanks = " \t\r\n"

// isRelaxed reports whether text is in the relaxed form, except for white space at
// its end. It may return false for a text with a bare CR.
func isRelaxed(text []byte) bool {
	return bytes.IndexByte(text, '\t') < 0 && !bytes.Contains(text, doubleSpace) && !bytes.Contains(text, spaceCR)
}

// words hashes p word by word.
func (b *BodyHash) words(p []byte) {
	for len(p) > 0 {
		switch p[0] {
		case ' ', '\t':
			b.blank = true
			p = p[1:]
		case '\r':
			if len(p) == 1 {
				b.cr = true
				return
			}
			if p[1] == '\n' {
				b.crlfs, b.blank = b.crlfs+1, false
				p = p[2:]
				continue
			}
			b.emit(p[:1])
			p = p[1:]
		default:
			n := 1
			for n < len(p) && p[n] != ' ' && p[n] != '\t' && p[n] != '\r' {
				n++
			}
			b.emit(p[:n])
			p = p[n:]
		}
	}
}

var (
	lines       = bytes.Repeat([]byte("\r\n"), 512)
	space       = []byte{' '}
	doubleSpace = []byte("  ")
	spaceCR     = []byte(" \r")
)

// emit hashes the pending line ends and white space, and then p.
func (b *BodyHash) emit(p []byte) {
	for b.crlfs > 0 {
		n := min(b.crlfs, len(lines)/2)
		b.put(lines[:2*n])
		b.crlfs -= n
	}
	if b.blank {
		b.blank = false
		b.put(space)
	}
	b.put(p)
}

func (b *BodyHash) put(p []byte) {
	b.begun = b.begun || len(p) > 0
	if b.used+len(p) > len(b.buf) {
		b.flush()
		if len(p) > len(b.buf) {
			b.h.Write(p)
			return
		}
	}
	b.used += copy(b.buf[b.used:], p)
}

func (b *BodyHash) flush() {
	b.h.Write(b.buf[:b.used])
	b.used = 0
}

// Sum ends the body and returns its hash.
func (b *BodyHash) Sum() []byte {
	if b.cr {
		b.cr = false
		b.emit(lines[:1])
	}
	b.crlfs, b.blank = 0, false
	// RFC 6376, 3.4.3 and 3.4.4: an empty body is one line end in the simple
	// form and nothing in the relaxed one.
	if b.canon == Simple || b.begun {
		b.put(lines[:2])
	}
	b.flush()
	return b.h.Sum(nil)
}
