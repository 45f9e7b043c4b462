package header

import (
	"bytes"
	"io"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// Hops counts the hosts that a message of that size has come through: the
// Received fields of its header section (RFC 5321, 6.3). A field at the top that
// host itself wrote does not count, so that the number is that of the message
// when it came to host. An empty host wrote none.
func Hops(r io.ReaderAt, size int64, host string) (int, error) {
	const window = 16 << 10 // more than maxName, so that each step gets on
	var s Scanner
	var c hopCounter
	buf := make([]byte, min(size, window))
	for {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-int64(s.End))], int64(s.End))
		if err != nil && err != io.EOF {
			return 0, err
		}
		start, inLine := s.End, s.inLine
		done := s.Scan(buf[:n], err == io.EOF || int64(s.End+n) == size)
		c.add(buf[:s.End-start], inLine)
		if done {
			break
		}
	}
	if c.fields > 0 && host != "" && addr.FoldDomain(By(Field(c.top).Value())) == addr.FoldDomain(host) {
		c.fields--
	}
	return c.fields, nil
}

// maxTop bounds what is kept of the topmost Received field.
const maxTop = 4 << 10

// A hopCounter counts Received fields, line by line.
type hopCounter struct {
	fields int
	top    []byte // the topmost one
	inTop  bool
}

// add takes lines of a header section; inLine says that the first goes on with
// a line that was added before.
func (c *hopCounter) add(lines []byte, inLine bool) {
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n') + 1
		if n == 0 {
			n = len(lines)
		}
		line := lines[:n]
		if !inLine && !isBlank(line[0]) {
			is := Field(line).Is("Received")
			if is {
				c.fields++
			}
			c.inTop = is && c.fields == 1
		}
		if c.inTop && len(c.top)+n <= maxTop {
			c.top = append(c.top, line...)
		}
		lines, inLine = lines[n:], false
	}
}

// By is the host that wrote a Received field, of which value is the unfolded
// value: the word after the first "by" that is in no comment (RFC 5321, 4.4). It
// is "" if there is none.
func By(value string) string {
	depth, by := 0, false
	for word := range strings.FieldsSeq(value) {
		before := depth
		depth += strings.Count(word, "(") - strings.Count(word, ")")
		switch {
		case before > 0 || strings.HasPrefix(word, "("):
		case by:
			return strings.TrimSuffix(word, ";")
		default:
			by = strings.EqualFold(word, "by")
		}
	}
	return ""
}
