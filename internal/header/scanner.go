package header

import (
	"bytes"
	"io"
	"sync"
)

const (
	// maxName is how many octets of a line are searched for the colon after the
	// name: the length of the longest line (RFC 5322, 2.1.1).
	maxName = 998

	// maxMailbox is the largest number of mbox lines before a header.
	maxMailbox = 100

	mailboxField = "X-Mailbox-Line: "
)

// A Scanner finds the end of the header section at the start of a message,
// while the message arrives. The zero value is ready for use. Lines end with
// CRLF or LF.
type Scanner struct {
	// End is the length of the header section so far.
	End int
	// Blank is the length of the blank line after the header section: 2 for
	// CRLF, 1 for LF, 0 if there is none.
	Blank int
	// Bare is true if content follows the header section without a blank line.
	Bare bool

	fields  bool  // a field has begun
	inLine  bool  // the line at End continues
	mailbox []int // where mbox lines begin, before all fields
}

// Scan examines content, which begins at offset End of the message. It reports
// whether the end of the header section is known. last is true if the message
// has no more content; then done is true. If Scan has not added all of content
// to End, the next call must pass the rest again.
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

// isMailbox reports whether a line is the separator of messages in a mailbox
// file: "From ", perhaps after ">". Postfix makes the same test.
func isMailbox(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}

// Section returns the header section with its repairs, without the blank line.
// content is the message from its first byte. If no repair is needed, the
// result shares the memory of content.
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

// Repairs returns the insertions, in order, after which all programs find the
// same header section: "X-Mailbox-Line: " before each mbox line, the missing
// line end of the last field, and the missing blank line after the section.
func (s *Scanner) Repairs() (ins []Insertion) {
	for _, start := range s.mailbox {
		ins = append(ins, Insertion{start, mailboxField})
	}
	if s.inLine || s.Bare {
		ins = append(ins, Insertion{s.End, "\r\n"})
	}
	return ins
}

const window = 8 << 10 // more than maxName, so that each step makes progress

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// Repairs reads the header section of a message and returns the insertions that
// it needs (see [Scanner.Repairs]): none for a correct message. size is the
// size of the message.
func Repairs(r io.ReaderAt, size int64) ([]Insertion, error) {
	s, err := scan(r, size, nil)
	return s.Repairs(), err
}

// scan reads the header section of a message. It calls lines, if that is not
// nil, with the lines of each step. inLine is true if the first one continues a
// line of the step before.
func scan(r io.ReaderAt, size int64, lines func(b []byte, inLine bool)) (s Scanner, err error) {
	buf := windows.Get().(*[window]byte)
	defer windows.Put(buf)
	for {
		n, err := r.ReadAt(buf[:min(window, size-int64(s.End))], int64(s.End))
		if err != nil && err != io.EOF {
			return Scanner{}, err
		}
		start, inLine := s.End, s.inLine
		done := s.Scan(buf[:n], err == io.EOF || int64(s.End+n) == size)
		if lines != nil {
			lines(buf[:s.End-start], inLine)
		}
		if done {
			return s, nil
		}
	}
}
