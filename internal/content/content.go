// Package content represents the bytes of a message as a sequence of parts. A
// changed header, a body in memory and a body in a file can be parts of one
// message without being copied.
package content

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A Content is an immutable sequence of bytes that consists of parts in memory
// and sections of files. It can be read repeatedly, and is safe for concurrent
// use. The zero value is empty.
type Content struct {
	parts []Part
	size  int64
}

// A Part is either bytes in memory or a section of a file.
type Part struct {
	Bytes []byte      // in memory, if File is nil
	File  io.ReaderAt // otherwise N bytes of File at offset Off
	Off   int64
	N     int64
}

// OSFile returns the file that contains the part, or nil.
func (p *Part) OSFile() *os.File {
	f, _ := p.File.(*os.File)
	return f
}

// Of returns a Content of chunks of memory, which must not change afterwards.
func Of(chunks ...[]byte) *Content {
	c := &Content{parts: make([]Part, 0, len(chunks))}
	for _, b := range chunks {
		c.add(Part{Bytes: b, N: int64(len(b))})
	}
	return c
}

// Section returns a Content of n bytes of r at offset off.
func Section(r io.ReaderAt, off, n int64) *Content {
	c := &Content{}
	c.add(Part{File: r, Off: off, N: n})
	return c
}

// Join returns one Content that consists of several. It shares their memory and
// files.
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

// Slice returns n bytes at offset off. It shares memory and files with c. Like
// a slice expression, it panics if they are outside the content.
func (c *Content) Slice(off, n int64) *Content {
	if off < 0 || n < 0 || off+n > c.size {
		panic(fmt.Sprintf("content: slice [%d:%d] of %d bytes", off, off+n, c.size))
	}
	s := &Content{}
	s.addSlice(c, off, n)
	return s
}

// Insert returns c with n texts inserted. insertion returns the i-th of them,
// and its offset in c. The offsets must not descend. The result shares memory
// and files with c.
func (c *Content) Insert(n int, insertion func(i int) (at int64, text string)) *Content {
	s := &Content{parts: make([]Part, 0, len(c.parts)+2*n)}
	done := int64(0)
	for i := range n {
		at, text := insertion(i)
		s.addSlice(c, done, at-done)
		s.add(Part{Bytes: []byte(text), N: int64(len(text))})
		done = at
	}
	s.addSlice(c, done, c.size-done)
	return s
}

// addSlice adds n bytes of c at offset off.
func (s *Content) addSlice(c *Content, off, n int64) {
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
}

// Same reports whether c and d are the same bytes of the same memory and files. It
// does not compare the bytes. It returns false if a part is not in memory and its
// reader is not an *os.File.
func (c *Content) Same(d *Content) bool {
	if c.size != d.size || len(c.parts) != len(d.parts) {
		return false
	}
	for i := range c.parts {
		p, q := &c.parts[i], &d.parts[i]
		if p.N != q.N {
			return false
		}
		switch f := p.OSFile(); {
		case p.File == nil && q.File == nil:
			if &p.Bytes[0] != &q.Bytes[0] {
				return false
			}
		case f == nil, f != q.OSFile(), p.Off != q.Off:
			return false
		}
	}
	return true
}

// Parts returns the parts in order. No part is empty. They must not be changed.
func (c *Content) Parts() []Part { return c.parts }

// Size returns the length in bytes.
func (c *Content) Size() int64 { return c.size }

// InMemory reports whether no part is in a file.
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
					err = io.ErrUnexpectedEOF // the file has become shorter
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

// WriteTo implements io.WriterTo. It writes each part in memory with one call
// of Write, and sections of files in pieces of up to 64 KiB.
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
	// A writer and a reader without other methods, so that io.CopyBuffer uses
	// the buffer.
	r := struct{ io.Reader }{io.NewSectionReader(p.File, p.Off, p.N)}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, min(p.N, 64<<10)))
	if err == nil && n < p.N {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Reader returns a new reader that starts at the first byte.
func (c *Content) Reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.size) }
