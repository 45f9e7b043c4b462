package spool

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A stored content is read from the log and the content file when a caller reads
// it. It pins its segment, so that the file is not reused. A segment that is
// deleted meanwhile can still be read through its open file.
type stored struct {
	seg      *segment
	body     int64 // where in the segment the body begins
	bodyLen  int64
	bodyCRC  uint32
	file     closedFile
	fileCRC  uint32
	parts    []part
	size     int64
	verified atomic.Bool
}

func (s *Spool) newStored(g *segment, at loc, h *header, hd *head) *stored {
	c := &stored{
		seg: g, body: int64(at.off) + headerLen + int64(h.metaLen), bodyLen: int64(h.bodyLen), bodyCRC: h.bodyCRC,
		file: closedFile{s, hd.id, h.seq}, fileCRC: hd.fileCRC, parts: hd.parts, size: hd.size,
	}
	g.pin()
	runtime.AddCleanup(c, (*segment).unpin, g)
	return c
}

func (c *stored) Size() int64 { return c.size }

// walk calls fn for each part of the content between off and off+n, with the
// reader of the part and the offset in it.
func (c *stored) walk(off, n int64, fn func(p part, r io.ReaderAt, off, n int64) error) error {
	body := c.body
	for _, p := range c.parts {
		r, start := io.ReaderAt(c.seg.file), body
		if p.inFile {
			r, start = &c.file, p.off
		} else {
			body += p.n
		}
		if off >= p.n {
			off -= p.n
			continue
		}
		take := min(p.n-off, n)
		if take == 0 {
			return nil
		}
		if err := fn(p, r, start+off, take); err != nil {
			return err
		}
		n -= take
		off = 0
	}
	return nil
}

// ReadAt verifies the whole content before it returns the first byte.
func (c *stored) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("spool: negative offset")
	}
	if !c.verified.Load() {
		if _, err := c.WriteTo(io.Discard); err != nil {
			return 0, err
		}
	}
	err = c.walk(off, int64(len(b)), func(_ part, r io.ReaderAt, off, take int64) error {
		k, err := r.ReadAt(b[n:n+int(take)], off)
		n += k
		if int64(k) == take {
			return nil
		}
		return short(err)
	})
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// WriteTo writes the content in pieces of up to 64 KiB. It verifies the content
// before it writes the last piece.
func (c *stored) WriteTo(w io.Writer) (written int64, err error) {
	buf := chunks.Get().(*[64 << 10]byte)
	defer chunks.Put(buf)
	var bodyCRC, fileCRC uint32
	err = c.walk(0, c.size, func(p part, r io.ReaderAt, off, n int64) error {
		for n > 0 {
			b := buf[:min(n, int64(len(buf)))]
			if k, err := r.ReadAt(b, off); k < len(b) {
				return short(err)
			}
			if p.inFile {
				fileCRC = updateChecksum(fileCRC, b)
			} else {
				bodyCRC = updateChecksum(bodyCRC, b)
			}
			if written+int64(len(b)) == c.size { // all of it was read
				if err := c.verify(bodyCRC, fileCRC); err != nil {
					return err
				}
			}
			k, err := w.Write(b)
			written += int64(k)
			if err != nil {
				return err
			}
			off += int64(len(b))
			n -= int64(len(b))
		}
		return nil
	})
	return written, err
}

func (c *stored) verify(bodyCRC, fileCRC uint32) error {
	if bodyCRC != c.bodyCRC || fileCRC != c.fileCRC {
		return fmt.Errorf("%w: content does not match its checksum", queue.ErrDamaged)
	}
	c.verified.Store(true)
	return nil
}

// short returns the error for a read that returned too few bytes.
func short(err error) error {
	if err == nil || err == io.EOF {
		return fmt.Errorf("%w: content is cut short", queue.ErrDamaged)
	}
	return err
}
