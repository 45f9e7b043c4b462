package dkim

import (
	"bytes"
	"io"
	"sync"
)

// maxBlank is the length of a run of white space and line ends that is too long
// for go-msgauth.
const maxBlank = 64 << 10

// pieceSize is the length of a piece without long white space. go-msgauth
// allocates twice this size for each piece, and larger pieces cost more.
const pieceSize = 16 << 10

// A body reads a message's body, unchanged, in pieces that suit go-msgauth. That
// library keeps the line ends at the end of a piece in memory until more text
// follows. In the simple form it copies all of them with each piece, so its time
// is quadratic in the number of empty lines. Therefore only the last piece ends
// in white space here. White space that fills the buffer is a limitError.
type body struct {
	r     io.Reader
	buf   []byte // from buffers, until the end: up to maxBlank
	size  int    // as much of buf is filled before a piece is returned
	rest  []byte // part of buf: read, but not returned by next
	piece []byte // part of buf: returned by next, but not by Read
	ended bool
}

var buffers = sync.Pool{New: func() any { return new([maxBlank]byte) }}

func newBody(r io.Reader) *body { return newBodySize(r, pieceSize) }

func newBodySize(r io.Reader, size int) *body {
	return &body{r: r, buf: buffers.Get().(*[maxBlank]byte)[:], size: size}
}

// next returns the next piece, which is valid until the next call. After the last
// piece it returns io.EOF.
func (b *body) next() ([]byte, error) {
	if b.ended {
		if b.buf != nil {
			buffers.Put((*[maxBlank]byte)(b.buf))
			b.buf = nil
		}
		return nil, io.EOF
	}
	n := copy(b.buf, b.rest)
	for size := b.size; ; {
		m, err := b.r.Read(b.buf[n:max(n, size)])
		n += m
		end := 0
		if n >= size {
			end = len(bytes.TrimRight(b.buf[:n], " \t\r\n"))
		}
		switch {
		case n == maxBlank && end == 0:
			return nil, limitError("the body has a run of 64 KiB of white space")
		case err == io.EOF:
			b.ended = true
			return b.buf[:n], nil
		case err != nil:
			return nil, err
		case n < size:
			continue
		case end > 0:
			b.rest = b.buf[end:n]
			b.size = min(2*b.size, max(b.size, pieceSize)) // larger pieces for a long body
			return b.buf[:end], nil
		}
		size = min(2*size, maxBlank) // white space: read on
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
