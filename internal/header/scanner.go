package header

import (
	"bytes"
	"io"
	"sync"
)

const (
	// maxName bounds the beginning of a line in which the colon after a
	// field's name must be: the length of a line (RFC 5322, 2.1.1).
	maxName = 998

	// maxMailbox bounds the mbox lines before a header.
	maxMailbox = 100

	mailboxField = "X-Mailbox-Line: "
)

// A Scanner finds where the header section at the start of a message ends,
// while the message arrives. Its zero value is ready for use. Lines end with
// CRLF or LF.
type Scanner struct {
	// End is the length of the header section so far.
	End int
	// Blank is the length of the blank line after the header section: 2 for
	// CRLF, 1 for LF, 0 if there is none.
	Blank int
	// Bare says that content follows the header section without a blank line.
	Bare bool

	fields  bool  // a field has begun
	inLine  bool  // the line at End goes on
	mailbox []int // where mbox lines begin, before all fields
}

// Scan takes the content from End on, and reports whether it has found the end
// of the header section. last says that the message has no more content; then
// the end is always found. Of what Scan has not added to End, the next call
// must pass all again.
func (s *Scanner) Scan(content []byte, last bool) (done bool) {
	for len(content) > 0 {
		n := bytes.IndexByte(content, '\n') + 1
		whole := n > 0
		if !whole {
			if !s.inLine && !last && len(content) <= maxName {
				return false
			}
			n = len(content)
		}
		if !s.inLine && !s.line(content[:n]) {
			return true
		}
		s.inLine = !whole
		s.End += n
		content = content[n:]
	}
	return last
}

// line reports whether a line, or the beginning of one, is part of the header
// section.
func (s *Scanner) line(line []byte) bool {
	switch {
	case line[0] == '\n', line[0] == '\r' && len(line) == 2 && line[1] == '\n':
		s.Blank = len(line)
		return false
	case StartsField(line), s.fields && isBlank(line[0]):
		s.fields = true
		return true
	case !s.fields && len(s.mailbox) < maxMailbox && isMailbox(line):
		s.mailbox = append(s.mailbox, s.End)
		return true
	}
	s.Bare = true
	return false
}

// isMailbox reports whether a line is the one before a message in a mailbox
// file: "From ", also quoted with ">". The test is that of Postfix.
func isMailbox(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}

// Section is the header section with its repairs, without the blank line.
// content is the message from its first byte on. A section that needs no
// repair shares content's memory.
func (s *Scanner) Section(content []byte) []byte {
	raw := content[:s.End:s.End]
	if s.inLine { // the content ends with a field that has no line end
		raw = append(raw, "\r\n"...)
	}
	if len(s.mailbox) == 0 {
		return raw
	}
	b := make([]byte, 0, len(raw)+len(s.mailbox)*len(mailboxField))
	at := 0
	for _, start := range s.mailbox {
		b = append(append(b, raw[at:start]...), mailboxField...)
		at = start
	}
	return append(b, raw[at:]...)
}

// An Insertion is text that is inserted into a message.
type Insertion struct {
	At   int // offset in the message as it was
	Text string
}

// Repairs are the insertions, in order, after which all programs find the same
// header section: the beginning of an X-Mailbox-Line field before each mbox
// line, the line end that the last field lacks, and the blank line that is
// missing after the section.
func (s *Scanner) Repairs() (ins []Insertion) {
	for _, start := range s.mailbox {
		ins = append(ins, Insertion{start, mailboxField})
	}
	if s.inLine || s.Bare {
		ins = append(ins, Insertion{s.End, "\r\n"})
	}
	return ins
}

const window = 8 << 10 // more than maxName, so that each step gets on

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// Repairs reads the header section of a message of that size, and returns the
// insertions that it needs (see [Scanner.Repairs]): none for a correct message.
func Repairs(r io.ReaderAt, size int64) ([]Insertion, error) {
	buf := windows.Get().(*[window]byte)
	defer windows.Put(buf)
	var s Scanner
	for {
		n, err := r.ReadAt(buf[:min(window, size-int64(s.End))], int64(s.End))
		if err != nil && err != io.EOF {
			return nil, err
		}
		if s.Scan(buf[:n], err == io.EOF || int64(s.End+n) == size) {
			return s.Repairs(), nil
		}
	}
}
