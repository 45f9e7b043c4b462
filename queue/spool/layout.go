package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A layout describes where the content of a new message is stored.
type layout struct {
	head    head
	body    *content.Content // the body of the record
	content queue.Content    // replaces Message.Content unless nil
	inFile  bool             // a content file was created
}

// layout decides where content is stored, and writes or adopts its file.
func (s *Spool) layout(id string, seq uint64, c *content.Content) (l layout, err error) {
	l.body = c
	l.head.id, l.head.size = id, c.Size()
	if c.Size() < s.largeContent {
		if c.Size() > 0 {
			l.head.parts = []part{{n: c.Size()}}
		}
		if !c.InMemory() { // the caller closes its file after Put
			b := make([]byte, c.Size())
			if n, err := c.ReadAt(b, 0); n < len(b) {
				return l, err
			}
			l.body = content.Of(b)
			l.content = l.body
		}
		return l, nil
	}
	if f := s.adoptable(c); f != nil {
		err = s.adopt(&l, seq, c, f)
	} else {
		err = s.copyToFile(&l, seq, c)
	}
	if err != nil {
		s.discard(&l, seq)
	}
	return l, err
}

// adoptable returns the file of CreateFile that has most of c: the rest is shorter
// than largeContent. It returns nil if there is none.
func (s *Spool) adoptable(c *content.Content) *os.File {
	var found *os.File
	rest := c.Size()
	for _, p := range c.Parts() {
		f := p.OSFile()
		if found == nil && s.files.created(f) {
			found = f
		}
		if f != nil && f == found {
			rest -= p.N
		}
	}
	if rest >= s.largeContent {
		return nil
	}
	return found
}

// adopt makes a layout in which the file f of CreateFile is the content file.
func (s *Spool) adopt(l *layout, seq uint64, c *content.Content, f *os.File) error {
	var inline, whole []*content.Content
	for _, p := range c.Parts() {
		if p.OSFile() == f {
			l.head.parts = append(l.head.parts, part{inFile: true, off: p.Off, n: p.N})
			crc, err := checksumFile(l.head.fileCRC, f, p.Off, p.N)
			if err != nil {
				return err
			}
			l.head.fileCRC = crc
			whole = append(whole, content.Section(&closedFile{s, l.head.id, seq}, p.Off, p.N))
			continue
		}
		l.head.parts = append(l.head.parts, part{n: p.N})
		b, err := appendPart(nil, p)
		if err != nil {
			return err
		}
		inline = append(inline, content.Of(b))
		whole = append(whole, content.Of(b))
	}
	l.body = content.Join(inline...)
	l.content = content.Join(whole...)
	l.inFile = true
	err := s.files.adopt(f, seq)
	if errors.Is(err, errors.ErrUnsupported) {
		*l = layout{head: head{id: l.head.id, size: c.Size()}}
		return s.copyToFile(l, seq, c)
	}
	return err
}

// copyToFile writes content into a file of its own.
func (s *Spool) copyToFile(l *layout, seq uint64, c *content.Content) (err error) {
	l.inFile = true
	l.body = content.Of()
	l.head.parts = []part{{inFile: true, n: c.Size()}}
	if l.head.fileCRC, err = s.files.write(seq, c); err != nil {
		return err
	}
	if !c.InMemory() {
		l.content = content.Section(&closedFile{s, l.head.id, seq}, 0, c.Size())
	}
	return nil
}

// discard undoes layout.
func (s *Spool) discard(l *layout, seq uint64) {
	if l.inFile {
		s.files.remove(seq) // if it stays, the next Open deletes it
	}
}

// A closedFile opens the content file of a message for each read, so that active
// messages need no file descriptors.
type closedFile struct {
	s   *Spool
	id  string
	seq uint64
}

func (c *closedFile) ReadAt(b []byte, off int64) (int, error) {
	f, err := c.s.files.open(c.seq)
	if errors.Is(err, os.ErrNotExist) {
		return 0, c.missing(err)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(b, off)
}

// missing returns the error for a content file that does not exist. Usually its
// message has ended. If the directory does not exist either, the spool was moved
// or unmounted and may come back. Then the message is not damaged.
func (c *closedFile) missing(err error) error {
	if gone := c.s.files.exist(); gone != nil {
		return gone
	}
	if c.s.index.alive(c.id, c.seq) {
		return fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", queue.ErrNotFound, err)
}

// chunks are buffers for reading content.
var chunks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// checksumFile adds n bytes of r from off on to a checksum.
func checksumFile(crc uint32, r io.ReaderAt, off, n int64) (uint32, error) {
	buf := chunks.Get().(*[64 << 10]byte)
	defer chunks.Put(buf)
	for n > 0 {
		b := buf[:min(n, int64(len(buf)))]
		if k, err := r.ReadAt(b, off); k < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		crc = updateChecksum(crc, b)
		off += int64(len(b))
		n -= int64(len(b))
	}
	return crc, nil
}
