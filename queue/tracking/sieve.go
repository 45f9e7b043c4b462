package tracking

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A sieve finds out, without parsing it, that a filter does not select a line. Most
// lines of a search are rejected by it.
type sieve struct {
	since, until string   // in the form of the log; "" means no limit
	parts        [][]byte // in lower case; a line that a filter selects has all of them
	lower        []byte   // the last line in lower case; used again for each line
}

func newSieve(f *Filter) *sieve {
	s := new(sieve)
	if !f.Since.IsZero() {
		s.since = f.Since.UTC().Format(timeLayout)
	}
	if !f.Until.IsZero() {
		s.until = f.Until.UTC().Format(timeLayout)
	}
	for _, pattern := range []string{f.Sender, f.Recipient, strings.Trim(f.MessageID, "<>"), f.ID, f.Subject, f.Event} {
		s.add(pattern)
	}
	for _, pattern := range f.Labels {
		s.add(pattern)
	}
	return s
}

// add adds the longest part of a pattern that must be in the line as it is.
func (s *sieve) add(pattern string) {
	longest := ""
	for part := range strings.FieldsFuncSeq(pattern, isSpecial) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	if longest != "" {
		s.parts = append(s.parts, []byte(strings.ToLower(longest)))
	}
}

// isSpecial reports whether a character of a pattern matches others, or may have
// another form in a line: the log escapes or doubles it.
func isSpecial(c rune) bool {
	return c < ' ' || c > '~' || strings.ContainsRune(`*"\'`, c)
}

// passes reports whether the filter may select the line.
func (s *sieve) passes(line []byte) bool {
	if len(line) == 0 || line[0] == '#' {
		return false
	}
	if len(line) >= len(timeLayout) && line[0]-'0' <= 9 {
		t := line[:len(timeLayout)]
		if s.since != "" && string(t) < s.since || s.until != "" && string(t) > s.until {
			return false
		}
	}
	if len(s.parts) == 0 {
		return true
	}
	if cap(s.lower) < len(line) {
		s.lower = make([]byte, len(line)+len(line)/2)
	}
	lower := s.lower[:len(line)]
	for i, c := range line {
		if c >= utf8.RuneSelf {
			return true // the lower case of some of these characters is ASCII
		}
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	for _, part := range s.parts {
		if !bytes.Contains(lower, part) {
			return false
		}
	}
	return true
}

// parseLine returns the entry of a line.
func parseLine(line []byte) (*Entry, error) {
	fields, ok := split(string(line))
	if !ok {
		return nil, fmt.Errorf("tracking: a quote is misplaced")
	}
	return entry(fields, 1)
}

// split returns the fields of a line of comma-separated values (RFC 4180). ok is
// false if a quote is misplaced.
func split(s string) (fields []string, ok bool) {
	fields = make([]string, 0, len(columns))
	for {
		var field string
		if strings.HasPrefix(s, `"`) {
			field, s, ok = quoted(s[1:])
			if !ok {
				return nil, false
			}
		} else {
			n := strings.IndexByte(s, ',')
			if n < 0 {
				n = len(s)
			}
			if field, s = s[:n], s[n:]; strings.Contains(field, `"`) {
				return nil, false
			}
		}
		fields = append(fields, field)
		if s == "" {
			return fields, true
		}
		s = s[1:] // the comma
	}
}

// quoted returns the value of a quoted field without its first quote, and the rest
// of the line, which is empty or begins with a comma.
func quoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for {
		n := strings.IndexByte(s, '"')
		if n < 0 {
			return "", "", false
		}
		value, s = s[:n], s[n+1:]
		if !strings.HasPrefix(s, `"`) {
			if b.Len() > 0 {
				b.WriteString(value)
				value = b.String()
			}
			return value, s, s == "" || s[0] == ','
		}
		b.WriteString(value)
		b.WriteByte('"')
		s = s[1:]
	}
}
