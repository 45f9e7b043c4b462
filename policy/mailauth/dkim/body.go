package dkim

import (
	"bytes"
	"io"
)

// maxBlank is the length from which a run of white space and line ends in a
// body is refused.
const maxBlank = 64 << 10

// A body passes a message's body on, octet for octet, in pieces that suit
// go-msgauth. That library keeps the line ends at the end of a piece in memory
// until it knows whether anything follows. In the simple form it copies all that
// it keeps with each piece, so its time grows with the square of the number of
// empty lines. So here no piece but the last ends in white space, and white
// space that fills the buffer is a limitError.
type body struct {
	r     io.Reader
	buf   []byte // up to maxBlank
	rest  []byte // of buf: read, not passed on yet
	piece []byte // of buf: what Read passes on
	ended bool
}

func newBody(r io.Reader) *body { return &body{r: r, buf: make([]byte, 8<<10)} }

// next is the next piece, valid until it is called again; io.EOF after the last.
func (b *body) next() ([]byte, error) {
	if b.ended {
		return nil, io.EOF
	}
	n := copy(b.buf, b.rest)
	for {
		m, err := b.r.Read(b.buf[n:])
		n += m
		end := 0
		if n == len(b.buf) {
			end = len(bytes.TrimRight(b.buf, " \t\r\n"))
		}
		switch {
		case n == maxBlank && end == 0:
			return nil, limitError("64 KiB of the body are nothing but white space")
		case err == io.EOF:
			b.ended = true
			return b.buf[:n], nil
		case err != nil:
			return nil, err
		case n < len(b.buf):
			continue
		}
		if n < maxBlank { // a long body: more at a time
			b.buf = append(make([]byte, 0, 2*n), b.buf...)[:2*n]
		}
		if end > 0 {
			b.rest = b.buf[end:n]
			return b.buf[:end], nil
		}
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	for len(b.piece) == 0 {
		if b.piece, err = b.next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, b.piece)
	b.piece = b.piece[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, which io.Copy prefers.
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	for {
		p := b.piece
		if b.piece = nil; len(p) == 0 {
			if p, err = b.next(); err == io.EOF {
				return n, nil
			} else if err != nil {
				return n, err
			}
		}
		m, err := w.Write(p)
		if n += int64(m); err != nil {
			return n, err
		}
	}
}
