package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Large content is a file in the directory files, named for its message's
// sequence number. It is durable, name and all, before the record that names
// it is written, and goes after the removal is durable; what lies there
// without a record is swept when the spool is opened.

func (s *Spool) fileName(seq uint64) string {
	return filepath.Join(s.filesDir(), fmt.Sprintf("%016x", seq))
}

// fileSeq is the inverse of fileName; ok is false for other names.
func fileSeq(name string) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(name, 16, 64)
	return seq, err == nil && len(name) == 16
}

const tempPrefix = "tmp-"

// CreateFile makes a file to receive large content into, open for reading and
// writing; smtpserver.Server.Overflow is the place for it. Put takes over
// content that lies in such a file as it is: big mail is written once.
//
// The file stays the caller's, who closes it when Put has returned: the spool
// has its own name for it, and m.Content does not need it any more. One that
// the caller forgets the garbage collector closes. Where no Put took it over nothing is left of it,
// after a crash from the next Open on.
func (s *Spool) CreateFile() (*os.File, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, queue.ErrClosed
	}
	name := filepath.Join(s.filesDir(), tempPrefix+s.token+"-"+rand.Text())
	if !s.named.Load() {
		f, err := openNameless(s.filesDir(), name)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, diskError(err)
		}
		s.named.Store(true)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, diskError(err)
	}
	runtime.AddCleanup(f, func(name string) { os.Remove(name) }, name)
	return f, nil
}

// created says whether f is a file of CreateFile's.
func (s *Spool) created(f *os.File) bool {
	return f != nil && strings.HasPrefix(filepath.Base(f.Name()), tempPrefix+s.token+"-") &&
		filepath.Dir(f.Name()) == s.filesDir()
}

// A layout says where the content of a new message goes.
type layout struct {
	head    head
	body    *content.Content // into the record
	content queue.Content    // what replaces Message.Content, nil for nothing
	name    string           // of the content file, empty where there is none
}

// layout decides where content goes, and writes or adopts its file.
func (s *Spool) layout(id string, seq uint64, c *content.Content) (l layout, err error) {
	l.body = c
	l.head.id, l.head.size = id, c.Size()
	if c.Size() < s.largeContent {
		if c.Size() > 0 {
			l.head.parts = []part{{n: c.Size()}}
		}
		if !c.InMemory() { // its file will be closed when Put has returned
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
		l.discard(s)
	}
	return l, err
}

// adoptable is the file of CreateFile's that holds so much of c that the rest
// is small, nil if there is none.
func (s *Spool) adoptable(c *content.Content) *os.File {
	var found *os.File
	rest := c.Size()
	for _, p := range c.Parts() {
		f := p.OSFile()
		if found == nil && s.created(f) {
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

func (s *Spool) adopt(l *layout, seq uint64, c *content.Content, f *os.File) error {
	name := s.fileName(seq)
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
	l.name = name
	if err := s.fs.Adopt(f, name); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		*l = layout{head: head{id: l.head.id, size: c.Size()}}
		return s.copyToFile(l, seq, c)
	}
	return s.fs.SyncDir(s.filesDir())
}

// copyToFile writes content into a file of its own.
func (s *Spool) copyToFile(l *layout, seq uint64, c *content.Content) error {
	l.name = s.fileName(seq)
	l.body = content.Of()
	l.head.parts = []part{{inFile: true, n: c.Size()}}
	f, err := s.fs.Open(l.name, create)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &fileWriter{f: f}
	if _, err := c.WriteTo(w); err != nil {
		return err
	}
	l.head.fileCRC = w.crc
	if !c.InMemory() {
		l.content = content.Section(&closedFile{s, l.head.id, seq}, 0, c.Size())
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return s.fs.SyncDir(s.filesDir())
}

// discard takes back what layout did.
func (l *layout) discard(s *Spool) {
	if l.name != "" {
		s.fs.Remove(l.name) // if it stays, the next Open sweeps it
	}
}

// A fileWriter appends to a file and sums up what it writes.
type fileWriter struct {
	f   file
	off int64
	crc uint32
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if err := w.f.WriteAt([][]byte{b}, w.off); err != nil {
		return 0, err
	}
	w.off += int64(len(b))
	w.crc = updateChecksum(w.crc, b)
	return len(b), nil
}

// A closedFile opens a message's content file for each read, so that any
// number of messages in hand ties up no descriptors.
type closedFile struct {
	s   *Spool
	id  string
	seq uint64
}

func (c *closedFile) ReadAt(b []byte, off int64) (int, error) {
	f, err := c.s.fs.Open(c.s.fileName(c.seq), read)
	if errors.Is(err, os.ErrNotExist) {
		return 0, c.missing(err)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(b, off)
}

// missing is why a content file is not there: mostly its message has ended.
// Where the folder is not there either, it was moved or unmounted, and may
// come back: nothing is damaged.
func (c *closedFile) missing(err error) error {
	if _, gone := c.s.fs.ReadDir(c.s.filesDir()); gone != nil {
		return gone
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if _, data := c.s.liveSlot(c.id, c.seq); data != nil {
		return fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", queue.ErrNotFound, err)
}

// chunks are buffers to read content through.
var chunks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// checksumFile goes on with a checksum over n bytes of r from off on.
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
