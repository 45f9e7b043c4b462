package content

import (
	"bytes"
	"io"
	"sync"
)

// Canonical reports whether every CR and every LF in p is part of a CRLF.
func Canonical(p []byte) bool {
	lines := 0
	for at := 0; ; lines++ {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			break
		}
		at += i
		if at == 0 || p[at-1] != '\r' {
			return false
		}
		at++
	}
	return bytes.Count(p, []byte("\r")) == lines
}

// AppendCanonical appends p to b. It replaces every bare LF with CRLF and every
// bare CR with a space. Next hops receive messages with these line ends.
func AppendCanonical(b, p []byte) []byte {
	for i, ch := range p {
		switch {
		case ch == '\n' && (i == 0 || p[i-1] != '\r'):
			b = append(b, '\r', '\n')
		case ch == '\r' && (i+1 == len(p) || p[i+1] != '\n'):
			b = append(b, ' ')
		default:
			b = append(b, ch)
		}
	}
	return b
}

// NewCanonicalReader returns a reader that reads r and changes line ends as
// AppendCanonical does.
func NewCanonicalReader(r io.Reader) io.Reader { return &canonicalReader{r: r} }

type canonicalReader struct {
	r    io.Reader
	raw  *[rawSize]byte // from raws, until EOF; its first byte is a CR
	made []byte
	out  []byte // part of raw or made: the next result
	cr   bool   // a CR was read, and the next byte was not
	err  error
}

const rawSize = 16 << 10

var raws = sync.Pool{New: func() any { return &[rawSize]byte{'\r'} }}

// Read implements io.Reader.
func (c *canonicalReader) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			if c.raw != nil {
				raws.Put(c.raw)
				c.raw = nil
			}
			return 0, c.err
		}
		c.fill()
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

func (c *canonicalReader) fill() {
	if c.raw == nil {
		c.raw = raws.Get().(*[rawSize]byte)
	}
	n, err := c.r.Read(c.raw[1:])
	in := c.raw[1 : 1+n]
	if c.cr {
		in = c.raw[:1+n]
	}
	c.err = err
	if c.cr = err == nil && bytes.HasSuffix(in, c.raw[:1]); c.cr {
		in = in[:len(in)-1]
	}
	if c.out = in; !Canonical(in) {
		c.made = AppendCanonical(c.made[:0], in)
		c.out = c.made
	}
}
