package header

import (
	"bytes"
	"io"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// Hops returns the number of hosts that a message has passed: the number of
// Received fields in its header section (RFC 5321, 6.3). size is the size of
// the message. If host has written the top field, it does not count, so that
// the result is the number when the message reached host. If host is empty, all
// fields count.
func Hops(r io.ReaderAt, size int64, host string) (int, error) {
	s, err := Summarize(r, size, host)
	return s.Hops, err
}

// A Summary has the facts about a header section that one pass finds.
type Summary struct {
	Repairs []Insertion // see the function [Repairs]
	Hops    int         // see the function [Hops]
	Empty   bool        // the message has no header field
}

// Summarize reads the header section of a message once. The parameters are those
// of [Hops].
func Summarize(r io.ReaderAt, size int64, host string) (Summary, error) {
	var c hopCounter
	s, err := scan(r, size, c.add)
	if err != nil {
		return Summary{}, err
	}
	if c.fields > 0 && host != "" && addr.FoldDomain(By(Field(c.top).Value())) == addr.FoldDomain(host) {
		c.fields--
	}
	return Summary{Repairs: s.Repairs(), Hops: c.fields, Empty: s.End == 0}, nil
}

// maxTop is how many bytes of the top Received field are kept.
const maxTop = 4 << 10

// A hopCounter counts Received fields, line by line.
type hopCounter struct {
	fields int
	top    []byte // the top one
	inTop  bool
}

// add adds lines of a header section. inLine is true if the first one continues
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

// By returns the host that wrote a Received field: the word after the first
// "by" outside comments (RFC 5321, 4.4), or "". value is the unfolded value of
// the field.
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
