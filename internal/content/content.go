// Package content holds a message's bytes as a sequence of parts, so that a
// header that was edited, a body in memory and a body in a file can stand
// beside each other without being copied into one piece.
package content

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Content is an immutable sequence of bytes made of parts in memory and
// sections of files. It is safe for concurrent use, as often as one likes.
// The zero value is empty.
type Content struct {
	parts []Part
	size  int64
}

// A Part is either bytes in memory or a section of a file.
type Part struct {
	Bytes []byte      // in memory, when File is nil
	File  io.ReaderAt // otherwise N bytes of File from Off on
	Off   int64
	N     int64
}

// OSFile is the file that the part is a section of, or nil.
func (p *Part) OSFile() *os.File {
	f, _ := p.File.(*os.File)
	return f
}

// Of makes a Content of chunks of memory, which must not change afterwards.
func Of(chunks ...[]byte) *Content {
	c := &Content{parts: make([]Part, 0, len(chunks))}
	for _, b := range chunks {
		c.add(Part{Bytes: b, N: int64(len(b))})
	}
	return c
}

// Section makes a Content of n bytes of r from off on.
func Section(r io.ReaderAt, off, n int64) *Content {
	c := &Content{}
	c.add(Part{File: r, Off: off, N: n})
	return c
}

// Join makes one Content of several, sharing their memory and files.
func Join(cs ...*Content) *Content {
	n := 0
	for _, c := range cs {
		n += len(c.parts)
	}
	j := &Content{parts: make([]Part, 0, n)}
	for _, c := range cs {
		for _, p := range c.parts {
			j.add(p)
		}
	}
	return j
}

func (c *Content) add(p Part) {
	if p.N > 0 {
		c.parts = append(c.parts, p)
		c.size += p.N
	}
}

// Slice is the n bytes from off on, sharing memory and files. It panics when
// they lie outside the content, as slicing does.
func (c *Content) Slice(off, n int64) *Content {
	if off < 0 || n < 0 || off+n > c.size {
		panic(fmt.Sprintf("content: slice [%d:%d] of %d bytes", off, off+n, c.size))
	}
	s := &Content{}
	for _, p := range c.parts {
		if n == 0 {
			break
		}
		if off >= p.N {
			off -= p.N
			continue
		}
		take := min(p.N-off, n)
		q := Part{File: p.File, Off: p.Off + off, N: take}
		if p.File == nil {
			q = Part{Bytes: p.Bytes[off : off+take], N: take}
		}
		s.add(q)
		n -= take
		off = 0
	}
	return s
}

// Parts are the parts in order; none is empty. Not to be changed.
func (c *Content) Parts() []Part { return c.parts }

// Size is the length in bytes.
func (c *Content) Size() int64 { return c.size }

// InMemory says whether no part is in a file.
func (c *Content) InMemory() bool {
	for _, p := range c.parts {
		if p.File != nil {
			return false
		}
	}
	return true
}

// ReadAt implements io.ReaderAt.
func (c *Content) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("content: negative offset")
	}
	for _, p := range c.parts {
		if off >= p.N {
			off -= p.N
			continue
		}
		if n == len(b) {
			return n, nil
		}
		want := b[n:min(int64(len(b)), int64(n)+p.N-off)]
		if p.File == nil {
			n += copy(want, p.Bytes[off:])
		} else {
			m, err := p.File.ReadAt(want, p.Off+off)
			n += m
			if m < len(want) {
				if err == io.EOF || err == nil {
					err = io.ErrUnexpectedEOF // the file is shorter than what was received
				}
				return n, err
			}
		}
		off = 0
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo implements io.WriterTo: parts in memory are written in one piece
// each, sections of files in pieces of up to 64 KiB.
func (c *Content) WriteTo(w io.Writer) (n int64, err error) {
	for _, p := range c.parts {
		var m int64
		if p.File == nil {
			var k int
			k, err = w.Write(p.Bytes)
			m = int64(k)
		} else {
			m, err = copySection(w, p)
		}
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func copySection(w io.Writer, p Part) (int64, error) {
	// A plain writer and a plain reader, so that the buffer below is used.
	r := struct{ io.Reader }{io.NewSectionReader(p.File, p.Off, p.N)}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, min(p.N, 64<<10)))
	if err == nil && n < p.N {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Reader reads the content from its first byte; each Reader has its own place.
func (c *Content) Reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.size) }
